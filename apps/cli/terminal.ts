import { styleText } from 'node:util';
import { MultiBar, type SingleBar } from 'cli-progress';
import { columns } from './format.ts';

/** One line of progress. */
export interface Bar {
  /** `fraction` 0..1; `note` is what stands right of the bar. */
  update(fraction: number, note?: string): void;
  /** Ends the bar: its line goes away, and `text` stays in its place if given. */
  end(text?: string): void;
}

type Style = Parameters<typeof styleText>[0];
/** What stands where a line of more than one row is written over the bars would show through. */
const ERASE_BELOW = '\x1b[J';
/** A terminal that is too narrow for the bars does not wrap those, but lines above them. */
const WRAP = '\x1b[?7h';
const NO_WRAP = '\x1b[?7l';
// A bar's line fits a terminal of 80 columns.
const LABEL_WIDTH = 22;
const BAR_WIDTH = 22;
const NOTE_WIDTH = 24;
const FULL_WIDTH = 80;
/** Without a terminal, a bar says where it is this often. */
const PLAIN_INTERVAL_MS = 5_000;

/**
 * Where words go. People read stderr: lines, and bars when it is a terminal. Results go to stdout: text, or JSON lines only
 * with `--json`.
 */
export class Terminal {
  readonly #tty = Boolean(process.stderr.isTTY);
  readonly #wraps = process.stderr.columns >= FULL_WIDTH;
  #bars: MultiBar | undefined;
  #open = 0;
  constructor(readonly json: boolean) {}

  /** A line for the person, above the bars. */
  line(text = ''): void {
    if (this.#bars) this.#bars.log(`${ERASE_BELOW}${WRAP}${text}${this.#wraps ? '' : NO_WRAP}\n`);
    else process.stderr.write(`${text}\n`);
  }
  /** A line of the result, in words; nothing with `--json`. */
  result(text: string): void {
    if (this.json) return;
    if (this.#bars && process.stdout.isTTY) this.line(text);
    else process.stdout.write(`${text}\n`);
  }
  /** A line of the result, for programs; nothing without `--json`. */
  record(value: object): void {
    if (this.json) process.stdout.write(`${JSON.stringify(value)}\n`);
  }
  /** A line cut to the terminal's width, before it is coloured; whole where there is no terminal. */
  cut(text: string): string {
    const width = process.stderr.isTTY ? process.stderr.columns : 0;
    return width && [...text].length > width ? columns(text, width) : text;
  }
  /** Colour where stderr is a terminal that shows it. */
  style(style: Style, text: string): string {
    return styleText(style, text, { stream: process.stderr });
  }

  bar(label: string): Bar {
    return this.#tty ? this.#drawnBar(label) : this.#plainBar(label);
  }

  /** Takes the bars away and puts the cursor back. Also for ends that pass no `Bar.end`. */
  close(): void {
    // Lines still waiting to be drawn above the bars would be lost with them.
    this.#bars?.update();
    this.#bars?.stop();
    this.#bars = undefined;
    this.#open = 0;
  }

  #drawnBar(label: string): Bar {
    this.#bars ??= new MultiBar({
      stream: process.stderr,
      format: '  {label} {bar} {percentage}%  {note}',
      formatValue: (value, _options, type) => (type === 'percentage' ? String(value).padStart(3) : String(value)),
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: BAR_WIDTH,
      hideCursor: true,
      linewrap: this.#wraps ? null : false,
      gracefulExit: false,
      fps: 8,
      emptyOnZero: true,
      clearOnComplete: true,
      // The log lines above the bars are drawn with the bars.
      forceRedraw: true,
    });
    const bars = this.#bars;
    const bar: SingleBar = bars.create(1000, 0, { label: columns(label, LABEL_WIDTH), note: '' });
    this.#open += 1;
    let ended = false;
    return {
      update: (fraction, note) => {
        if (!ended)
          bar.update(Math.round(clamp(fraction) * 1000), note === undefined ? {} : { note: columns(note, NOTE_WIDTH) });
      },
      end: (text) => {
        if (ended || bars !== this.#bars) return;
        ended = true;
        this.#open -= 1;
        if (this.#open === 0) this.close();
        else bars.remove(bar);
        if (text !== undefined) this.line(text);
      },
    };
  }

  /** Says where it is now and then, when that is news. */
  #plainBar(label: string): Bar {
    let saidAt = Date.now();
    let said = 0;
    return {
      update: (fraction, note) => {
        const percentage = Math.floor(clamp(fraction) * 100);
        if (percentage === said || Date.now() - saidAt < PLAIN_INTERVAL_MS) return;
        said = percentage;
        saidAt = Date.now();
        this.line(`  ${label}: ${percentage}%${note ? `  ${note}` : ''}`);
      },
      end: (text) => {
        if (text !== undefined) this.line(text);
      },
    };
  }
}

const clamp = (fraction: number) => (Number.isFinite(fraction) ? Math.min(1, Math.max(0, fraction)) : 0);
