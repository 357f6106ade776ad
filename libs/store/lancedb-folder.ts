import { mkdir, stat } from 'node:fs/promises';
import { type Connection, connect, type Table } from '@lancedb/lancedb';
import type * as arrow from 'apache-arrow';
import { StoreAway } from './errors.ts';
import { guard, retryConflicts, storeError } from './lancedb-failures.ts';
import { isOurs, PASSAGES } from './lancedb-query.ts';
import { passagesShape } from './lancedb-rows.ts';
import { addMissingColumns, ensureTextIndex, type Keeping, TableWriter } from './lancedb-table.ts';

const connectTo = (dir: string): Promise<Connection> => connect(dir, { readConsistencyInterval: 0 });

/** The tables of a folder, each opened once in a process, and what writes to them. */
export class LanceFolder {
  readonly #tables = new Map<string, Promise<Table>>();
  readonly #writers = new Map<string, TableWriter>();
  #changes = 0;

  private constructor(
    readonly dir: string,
    readonly keep: Keeping,
    private db: Connection,
  ) {}

  static async open(dir: string, keep: Keeping): Promise<LanceFolder> {
    await mkdir(dir, { recursive: true });
    return new LanceFolder(dir, keep, await connectTo(dir));
  }

  get isOpen(): boolean {
    return this.db.isOpen();
  }

  /**
   * A table has a version that it had not. Lance keeps in memory what it read of each, up to 7 GB, and takes no other bound from JavaScript (0.39): so all
   * is opened anew after `renewAfter` of them. Whoever is at work with what was open goes on with it; it is dropped with the last of them.
   */
  changed(): void {
    if (++this.#changes < this.keep.renewAfter) return;
    this.#changes = 0;
    const renewed = connectTo(this.dir).then((db) => {
      if (!this.isOpen) return db.close();
      this.db = db;
      this.#tables.clear();
      for (const writer of this.#writers.values()) writer.reopen();
    });
    // What is open is as good, but for its size.
    renewed.catch(() => {});
  }

  /** Names of our tables; not of one whose folder is all that a process left when it died making it. */
  async written(): Promise<string[]> {
    await this.#checkThere();
    const names: string[] = [];
    for (;;) {
      const startAfter = names.at(-1);
      const page = await guard(() => this.db.tableNames(startAfter === undefined ? {} : { startAfter }));
      if (page.length === 0) break;
      names.push(...page);
    }
    const written: string[] = [];
    for (const name of names) {
      if (isOurs(name) && (await this.find(name))) written.push(name);
    }
    return written;
  }

  /** Makes the table with the first rows. */
  writer(name: string, schema: arrow.Schema): TableWriter {
    return this.#writer(name, () => this.#create(name, schema));
  }

  /** Makes the text index too where a process that died left the table without. */
  passagesWriter(): TableWriter {
    return this.#writer(PASSAGES, async () => {
      const table = await this.#create(PASSAGES, passagesShape().schema);
      await ensureTextIndex(table);
      return table;
    });
  }

  writerOf(name: string): TableWriter {
    return name === PASSAGES ? this.passagesWriter() : this.#writer(name, () => this.#open(name));
  }

  /** A table that may not be there yet. */
  async find(name: string): Promise<Table | undefined> {
    try {
      return await this.#open(name);
    } catch (error) {
      if (!/not found|does not exist/i.test(String(error))) throw storeError(error);
      await this.#checkThere();
      return undefined;
    }
  }

  /** Waits for writes that were begun, then lets go of the files. */
  async close(): Promise<void> {
    await Promise.all([...this.#writers.values()].map((writer) => writer.idle()));
    for (const table of this.#tables.values()) await table.then((open) => open.close()).catch(() => {});
    this.db.close();
  }

  /** The folder was made when it was opened: where it is gone its disk is not mounted, and no table is to be made in its place. */
  async #checkThere(): Promise<void> {
    const isThere = await stat(this.dir).catch(() => undefined);
    if (!isThere) throw new StoreAway(`Vector index: the folder ${this.dir} is gone: is its disk mounted?`);
  }

  #writer(name: string, open: () => Promise<Table>): TableWriter {
    const writer = this.#writers.get(name) ?? new TableWriter(open, this.keep, () => this.changed());
    this.#writers.set(name, writer);
    return writer;
  }

  #open(name: string): Promise<Table> {
    let table = this.#tables.get(name);
    if (!table) {
      table = this.db.openTable(name).then(async (open) => {
        if (isOurs(name)) await addMissingColumns(open, name === PASSAGES);
        return open;
      });
      this.#tables.set(name, table);
      table.catch(() => this.#tables.delete(name));
    }
    return table;
  }

  async #create(name: string, schema: arrow.Schema): Promise<Table> {
    const found = await this.find(name);
    if (found) return found;
    const table = await retryConflicts(() => this.db.createEmptyTable(name, schema, { mode: 'create', existOk: true }));
    table.close();
    return this.#open(name);
  }
}
