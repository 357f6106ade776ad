import type { Table } from '@lancedb/lancedb';
import type * as arrow from 'apache-arrow';
import { firstWhere } from './bisect.ts';
import { eachText, Row, readRows } from './lancedb-rows.ts';

/** What a search gives of a row's address: its fragment's number, then its place there. */
const ADDRESS = '_rowid';
/** Rows that were replaced or removed stay until they are this share of those that are there, and so many. */
const REPLACED_SHARE = 0.25;
const REPLACED_ROWS = 4096;
/** Read at a time: of a whole table the engine would read far ahead, and hold twice the memory. */
const READ_ROWS = 4096;
/** A table that nobody searched for so long (of another model, since a new one is in use) makes room for others. */
const UNUSED_MS = 10 * 60_000;

/**
 * Rows of tables in memory, by their addresses, so that the engine has only to rank: reading some hundred single rows is half or more of what a search costs
 * it (docs/search.md). What lies at an address never changes, and no address is given twice. So what is held may lack rows that came since, in which case the
 * engine reads the hits of that search itself, but it is never wrong, whoever writes to the folder.
 */
export class HeldTables {
  readonly #tables = new Map<string, HeldTable>();
  #reading: Promise<void> = Promise.resolve();

  /** `budget`: bytes on disk of all tables that are held, about what they take in memory. A table that does not fit is not held at all. */
  constructor(readonly budget: number) {}

  /** What is held of a table. Its rows up to `version` are read in the background: by then, or for a search or two until then, there may be none. */
  of(name: string, table: Table, version: number, columns: string[]): HeldTable {
    const held = this.#tables.get(name) ?? new HeldTable(columns, this.#inTurn, (bytes) => this.#hasRoom(bytes));
    this.#tables.set(name, held);
    held.bringTo(version, table);
    return held;
  }

  /** On disk, of all tables that are held. */
  get bytes(): number {
    return [...this.#tables.values()].reduce((sum, held) => sum + held.bytes, 0);
  }

  /** Waits for what is being read, and drops all. */
  async close(): Promise<void> {
    await Promise.all([...this.#tables.values()].map((held) => held.close()));
  }

  /** One table after the other is read. */
  readonly #inTurn = (read: () => Promise<void>): Promise<void> => {
    const done = this.#reading.then(read);
    this.#reading = done.catch(() => {});
    return done;
  };

  #hasRoom(bytes: number): boolean {
    for (const held of this.#tables.values()) if (performance.now() - held.usedAt > UNUSED_MS) held.drop();
    return this.bytes + bytes <= this.budget;
  }
}

interface Batch {
  /** In rising order. */
  addresses: Float64Array;
  row: Row;
}

export class HeldTable {
  usedAt = 0;
  /** On disk; 0 where nothing is held. */
  bytes = 0;
  #batches: Batch[] = [];
  #rows = 0;
  /** All rows of a version are there, be it not the last one. */
  #isWhole = false;
  #version: number | undefined;
  #reading: Promise<void> | undefined;
  #isClosed = false;

  constructor(
    readonly columns: string[],
    readonly inTurn: (read: () => Promise<void>) => Promise<void>,
    readonly hasRoom: (bytes: number) => boolean,
  ) {}

  /** Reads in the background what came since. Where that fails it is tried again once there is another version. */
  bringTo(version: number, table: Table): void {
    this.usedAt = performance.now();
    if (this.#version === version || this.#reading || this.#isClosed) return;
    this.#version = version;
    this.#reading = this.inTurn(() => this.#read(table))
      .catch(() => this.#clear())
      .finally(() => {
        this.#reading = undefined;
      });
  }

  /** What a search ranked, read from memory; undefined where one of its rows is not held. `ranked` is the row as the search gave it. */
  async hits<Read>(
    search: AsyncIterable<arrow.RecordBatch>,
    toRead: (row: Row, ranked: Row) => Read,
  ): Promise<Read[] | undefined> {
    if (!this.#isWhole) return undefined;
    let isHeld = true;
    const hits: Read[] = [];
    await readRows(search, (ranked) => {
      const row = isHeld ? this.#find(ranked.number(ADDRESS)) : undefined;
      if (row) hits.push(toRead(row, ranked));
      else isHeld = false;
    });
    return isHeld ? hits : undefined;
  }

  /** The next search reads it anew. */
  drop(): void {
    this.#clear();
    this.#version = undefined;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#reading;
    this.drop();
  }

  async #read(table: Table): Promise<void> {
    const { totalBytes, numRows } = await table.stats();
    const since = () => `${ADDRESS} > ${this.#last()}`;
    if (this.#rows > 0) {
      const rows = this.#rows + (await table.countRows(since()));
      if (rows > numRows * (1 + REPLACED_SHARE) + REPLACED_ROWS) this.#clear();
    }
    this.bytes = 0;
    if (!this.hasRoom(totalBytes)) return this.#clear();
    this.bytes = totalBytes;
    for (let read = READ_ROWS; read === READ_ROWS && !this.#isClosed; this.#rows += read) {
      const rows = table.query().select(this.columns).withRowId().limit(READ_ROWS);
      read = 0;
      for await (const batch of this.#rows > 0 ? rows.where(since()) : rows) {
        if (batch.numRows > 0) this.#batches.push(batchOf(batch, this.#last()));
        read += batch.numRows;
      }
    }
    this.#isWhole = true;
  }

  #last(): number {
    return this.#batches.at(-1)?.addresses.at(-1) ?? -1;
  }

  #clear(): void {
    this.#batches = [];
    this.#rows = 0;
    this.#isWhole = false;
    this.bytes = 0;
  }

  #find(address: number): Row | undefined {
    const batches = this.#batches;
    const batch = batches[firstWhere(batches.length, (i) => (batches[i]?.addresses[0] as number) > address) - 1];
    if (!batch) return undefined;
    const { addresses, row } = batch;
    row.at = firstWhere(addresses.length, (i) => (addresses[i] as number) >= address);
    return addresses[row.at] === address ? row : undefined;
  }
}

function batchOf(batch: arrow.RecordBatch, after: number): Batch {
  const row = new Row(batch, eachText);
  const addresses = new Float64Array(batch.numRows);
  for (let last = after; row.at < batch.numRows; row.at++) {
    const address = row.number(ADDRESS);
    if (address <= last) throw new RangeError('Rows are not read in the order of their addresses');
    addresses[row.at] = last = address;
  }
  return { addresses, row };
}
