import { Index, type Table } from '@lancedb/lancedb';
import type * as arrow from 'apache-arrow';
import { STOP_WORDS } from './bm25.ts';
import { guard, retryConflicts } from './lancedb-failures.ts';

/** Rows of one commit. Bounds what is turned into Arrow in one go: 1,024 x 768 floats take a few ms of the event loop. */
const MAX_COMMIT_ROWS = 1024;
/** Old versions are kept this long: a reader that began on one is still on it only if its query takes longer. */
const KEEP_VERSIONS_MS = 10 * 60_000;

/**
 * All writes of this process to one table, one after the other. Upserts that come while another is being written go in together, so that many
 * small ones are few commits; small fragments are merged once they are many.
 */
export class TableWriter {
  #table: Promise<Table> | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #group: { rows: Map<string, { id: string }>; done: Promise<void> } | undefined;
  #commits = 0;

  constructor(readonly open: () => Promise<Table>) {}

  async upsert<Row extends { id: string }>(rows: Row[], toArrow: (rows: Row[]) => arrow.Table): Promise<void> {
    const groups = new Set<Promise<void>>();
    for (let at = 0; at < rows.length; at += MAX_COMMIT_ROWS) {
      const part = rows.slice(at, at + MAX_COMMIT_ROWS);
      if (!this.#group || this.#group.rows.size + part.length > MAX_COMMIT_ROWS) this.#group = this.#newGroup(toArrow);
      // Two rows of one id in a merge would both be inserted: the last one counts.
      for (const row of part) this.#group.rows.set(row.id, row);
      groups.add(this.#group.done);
    }
    await Promise.all(groups);
  }

  exclusive<T>(task: (table: Table) => Promise<T>): Promise<T> {
    this.#group = undefined;
    const run = this.#tail.then(async () => {
      this.#table ??= this.open();
      this.#table.catch(() => {
        this.#table = undefined;
      });
      const table = await guard(() => this.#table as Promise<Table>);
      return retryConflicts(() => task(table));
    });
    this.#tail = run.catch(() => {});
    return run;
  }

  async idle(): Promise<void> {
    await this.#tail;
  }

  #newGroup<Row extends { id: string }>(toArrow: (rows: Row[]) => arrow.Table) {
    const rows = new Map<string, { id: string }>();
    const done = this.exclusive(async (table) => {
      if (this.#group?.rows === rows) this.#group = undefined;
      const batch = toArrow([...rows.values()] as Row[]);
      await table.mergeInsert('id').whenMatchedUpdateAll().whenNotMatchedInsertAll().execute(batch);
      if (++this.#commits % 32 === 0) this.#compactWhenFragmented();
    });
    // Where the table could not be opened, its turn never came: the rows that come next must not join what has failed.
    done.catch(() => {
      if (this.#group?.rows === rows) this.#group = undefined;
    });
    return { rows, done };
  }

  /** In its own turn, and never an upsert's failure. A compaction rewrites all small fragments, so a big table waits for more of them. */
  #compactWhenFragmented(): void {
    const group = this.#group;
    this.exclusive(async (table) => {
      const { numRows, fragmentStats } = await table.stats();
      if (fragmentStats.numSmallFragments > 64 + numRows / 5000) await compact(table);
    }).catch(() => {});
    this.#group = group;
  }
}

/** Merges small fragments, brings the text index up to date, and drops versions nobody reads any more. */
export async function compact(table: Table): Promise<void> {
  await table.optimize({ cleanupOlderThan: new Date(Date.now() - KEEP_VERSIONS_MS) });
}

export async function ensureTextIndex(table: Table): Promise<void> {
  await retryConflicts(async () => {
    const indices = await table.listIndices();
    if (indices.some((index) => index.columns.includes('text'))) return;
    // ICU cuts words of scripts without spaces. Its built-in stop words are those of all languages, "cat" among them: ours instead.
    const config = Index.fts({
      baseTokenizer: 'icu/split',
      language: 'English',
      lowercase: true,
      asciiFolding: true,
      stem: true,
      removeStopWords: true,
      customStopWords: [...STOP_WORDS],
      withPosition: false,
    });
    await table.createIndex('text', { config, replace: false });
  });
}

/** A folder that was made before passages had a kind: all of them were heard. */
export async function addMissingColumns(table: Table): Promise<void> {
  await retryConflicts(async () => {
    const { fields } = await table.schema();
    if (fields.some((field) => field.name === 'kind')) return;
    await table.addColumns([{ name: 'kind', valueSql: "'speech'" }]);
  });
}
