import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { type Connection, connect, Index, MatchQuery, type Table } from '@lancedb/lancedb';
import * as arrow from 'apache-arrow';
import { STOP_WORDS } from './bm25.ts';
import { StoreError } from './errors.ts';
import type { Tenant } from './types.ts';
import type { FrameHit, FrameRow, IndexFilter, PassageHit, PassageRow, VectorIndex } from './vector-index.ts';

const PASSAGES = 'passages';
const FRAMES_PREFIX = 'frames_';
/** Rows of one commit. Bounds what is turned into Arrow in one go: 1,024 x 768 floats take a few ms of the event loop. */
const MAX_COMMIT_ROWS = 1024;
/** Old versions are kept this long: a reader that began on one is still on it only if its query takes longer. */
const KEEP_VERSIONS_MS = 10 * 60_000;
const MAX_ATTEMPTS = 12;
/** Rows read where a tie reaches past the limit. */
const MAX_SEARCH_ROWS = 4096;
const MAX_QUERY_CHARS = 10_000;

/**
 * LanceDB in a folder, shared by any number of processes. A row's id is declared the table's (unenforced) primary key: only then does Lance see that two
 * writers insert the same new id (without it both inserts stay: lance issue 8949); ids are left without a scalar index for the same reason.
 * Frames are searched exactly (no ANN index): the same rows always give the same hits, and a filter never costs a hit.
 */
export class LanceIndex implements VectorIndex {
  readonly #tables = new Map<string, Promise<Table>>();
  readonly #writers = new Map<string, TableWriter>();

  private constructor(readonly db: Connection) {}

  static async open(dir: string): Promise<LanceIndex> {
    await mkdir(dir, { recursive: true });
    return new LanceIndex(await connect(dir, { readConsistencyInterval: 0 }));
  }

  async upsertFrames(model: { id: string; dimension: number }, rows: FrameRow[]): Promise<void> {
    for (const row of rows) checkDimension(row.vector, model);
    if (rows.length === 0) return;
    const schema = framesSchema(model.dimension);
    const name = framesTable(model);
    const writer = this.#writer(name, () => this.#create(name, schema));
    await writer.upsert(rows, (batch) => framesToArrow(schema, batch));
  }

  async upsertPassages(rows: PassageRow[]): Promise<void> {
    if (rows.length > 0) await this.#passagesWriter().upsert(rows, passagesToArrow);
  }

  async deleteVideo(tenant: Tenant, videoId: string): Promise<void> {
    const where = `tenant = ${quote(tenant)} AND video_id = ${quote(videoId)}`;
    for (const name of await this.#writtenTables()) {
      await this.#writerOf(name).exclusive((table) => table.delete(where));
    }
  }

  async searchFrames(
    model: { id: string; dimension: number },
    vector: Float32Array,
    filter: IndexFilter,
    limit: number,
  ): Promise<FrameHit[]> {
    checkDimension(vector, model);
    const table = await this.#find(framesTable(model));
    if (!table || filter.videoIds?.length === 0) return [];
    return topRows(limit, async (fetch) => {
      const query = table.query().nearestTo(vector).distanceType('cosine').where(filterSql(filter)).limit(fetch);
      const hits: FrameHit[] = [];
      for await (const row of readRows(query.select([...SPAN_COLUMNS, '_distance']))) {
        hits.push({ ...span(row), score: 1 - number(row._distance) });
      }
      return hits;
    });
  }

  async searchPassages(text: string, filter: IndexFilter, limit: number): Promise<PassageHit[]> {
    const words = queryWords(text);
    if (words === '' || filter.videoIds?.length === 0) return [];
    const table = await this.#find(PASSAGES);
    if (!table) return [];
    return topRows(limit, async (fetch) => {
      // A MatchQuery is words and nothing else: no operators, so nothing a user types is a syntax error.
      const query = table.query().fullTextSearch(new MatchQuery(words, 'text')).where(filterSql(filter)).limit(fetch);
      const hits: PassageHit[] = [];
      for await (const row of readRows(query.select([...PASSAGE_COLUMNS, '_score']))) {
        hits.push({ ...passage(row), score: number(row._score) });
      }
      return hits;
    });
  }

  async listFrames(model: { id: string; dimension: number }, tenant: Tenant, videoId: string): Promise<FrameRow[]> {
    const table = await this.#find(framesTable(model));
    const rows: FrameRow[] = [];
    if (!table) return rows;
    for await (const row of readRows(listQuery(table, tenant, videoId).select([...SPAN_COLUMNS, 'vector']))) {
      rows.push({ ...span(row), vector: (row.vector as arrow.Vector<arrow.Float32>).toArray().slice() });
    }
    return rows;
  }

  async listPassages(tenant: Tenant, videoId: string): Promise<PassageRow[]> {
    const table = await this.#find(PASSAGES);
    const rows: PassageRow[] = [];
    if (!table) return rows;
    for await (const row of readRows(listQuery(table, tenant, videoId).select(PASSAGE_COLUMNS)))
      rows.push(passage(row));
    return rows;
  }

  async optimize(): Promise<void> {
    for (const name of await this.#writtenTables()) await this.#writerOf(name).exclusive(compact);
  }

  /** Waits for writes that were begun, then lets go of the files; the process can exit. */
  async close(): Promise<void> {
    if (!this.db.isOpen()) return;
    await Promise.all([...this.#writers.values()].map((writer) => writer.idle()));
    for (const table of this.#tables.values()) await table.then((open) => open.close()).catch(() => {});
    this.db.close();
  }

  /** Names of our tables; not of one whose folder is all that a process left when it died making it. */
  async #writtenTables(): Promise<string[]> {
    const names: string[] = [];
    for (;;) {
      const startAfter = names.at(-1);
      const page = await guard(() => this.db.tableNames(startAfter === undefined ? {} : { startAfter }));
      if (page.length === 0) break;
      names.push(...page);
    }
    const written: string[] = [];
    for (const name of names) {
      if ((name === PASSAGES || name.startsWith(FRAMES_PREFIX)) && (await this.#find(name))) written.push(name);
    }
    return written;
  }

  #writer(name: string, open: () => Promise<Table>): TableWriter {
    const writer = this.#writers.get(name) ?? new TableWriter(open);
    this.#writers.set(name, writer);
    return writer;
  }

  /** Makes the text index too where a process that died left the table without. */
  #passagesWriter(): TableWriter {
    return this.#writer(PASSAGES, async () => {
      const table = await this.#create(PASSAGES, passagesSchema);
      await ensureTextIndex(table);
      return table;
    });
  }

  #writerOf(name: string): TableWriter {
    return name === PASSAGES ? this.#passagesWriter() : this.#writer(name, () => this.#open(name));
  }

  /** A table that may not be there yet. */
  async #find(name: string): Promise<Table | undefined> {
    try {
      return await this.#open(name);
    } catch (error) {
      if (/not found|does not exist/i.test(String(error))) return undefined;
      throw storeError(error);
    }
  }

  #open(name: string): Promise<Table> {
    let table = this.#tables.get(name);
    if (!table) {
      table = this.db.openTable(name);
      this.#tables.set(name, table);
      table.catch(() => this.#tables.delete(name));
    }
    return table;
  }

  async #create(name: string, schema: arrow.Schema): Promise<Table> {
    const found = await this.#find(name);
    if (found) return found;
    const table = await retryConflicts(() => this.db.createEmptyTable(name, schema, { mode: 'create', existOk: true }));
    table.close();
    return this.#open(name);
  }
}

/**
 * All writes of this process to one table, one after the other. Upserts that come while another is being written go in together, so that many
 * small ones are few commits; small fragments are merged once they are many.
 */
class TableWriter {
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
async function compact(table: Table): Promise<void> {
  await table.optimize({ cleanupOlderThan: new Date(Date.now() - KEEP_VERSIONS_MS) });
}

async function ensureTextIndex(table: Table): Promise<void> {
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

// Columns ---------------------------------------------------------------------------------------------------------------------------------

const SPAN_COLUMNS = ['id', 'tenant', 'video_id', 'start_ms', 'end_ms'];
const PASSAGE_COLUMNS = [...SPAN_COLUMNS, 'text', 'language'];
const spanFields = () => [
  new arrow.Field('id', new arrow.Utf8(), false, new Map([['lance-schema:unenforced-primary-key', 'true']])),
  new arrow.Field('tenant', new arrow.Utf8(), false),
  new arrow.Field('video_id', new arrow.Utf8(), false),
  new arrow.Field('start_ms', new arrow.Float64(), false),
  new arrow.Field('end_ms', new arrow.Float64(), false),
];
const framesSchema = (dimension: number): arrow.Schema =>
  new arrow.Schema([
    ...spanFields(),
    new arrow.Field(
      'vector',
      new arrow.FixedSizeList(dimension, new arrow.Field('item', new arrow.Float32(), true)),
      false,
    ),
  ]);
const passagesSchema = new arrow.Schema([
  ...spanFields(),
  new arrow.Field('text', new arrow.Utf8(), false),
  new arrow.Field('language', new arrow.Utf8(), true),
]);

const utf8 = (values: (string | null)[]): arrow.Data =>
  arrow.vectorFromArray(
    values.map((value) => value?.toWellFormed() ?? null),
    new arrow.Utf8(),
  ).data[0] as arrow.Data;
const float64 = (values: number[]): arrow.Data =>
  arrow.makeData({ type: new arrow.Float64(), data: Float64Array.from(values) });
const spanData = (rows: FrameRow[] | PassageRow[]): arrow.Data[] => [
  utf8(rows.map((row) => row.id)),
  utf8(rows.map((row) => row.tenant)),
  utf8(rows.map((row) => row.videoId)),
  float64(rows.map((row) => row.startMs)),
  float64(rows.map((row) => row.endMs)),
];
function toTable(schema: arrow.Schema, length: number, children: arrow.Data[]): arrow.Table {
  const data = arrow.makeData({ type: new arrow.Struct(schema.fields), length, nullCount: 0, children });
  return new arrow.Table(schema, new arrow.RecordBatch(schema, data));
}
/** Column by column from typed arrays: many times faster than LanceDB's own conversion of records. */
function framesToArrow(schema: arrow.Schema, rows: FrameRow[]): arrow.Table {
  const type = schema.fields[5]?.type as arrow.FixedSizeList<arrow.Float32>;
  const values = new Float32Array(rows.length * type.listSize);
  rows.forEach((row, i) => {
    values.set(row.vector, i * type.listSize);
  });
  const child = arrow.makeData({ type: new arrow.Float32(), data: values });
  const vectors = arrow.makeData({ type, length: rows.length, nullCount: 0, child });
  return toTable(schema, rows.length, [...spanData(rows), vectors]);
}
const passagesToArrow = (rows: PassageRow[]): arrow.Table =>
  toTable(passagesSchema, rows.length, [
    ...spanData(rows),
    utf8(rows.map((row) => row.text)),
    utf8(rows.map((row) => row.language ?? null)),
  ]);

type Row = Record<string, unknown>;
/** Rows of a query batch by batch (1,024 rows), with a turn of the event loop after each. */
async function* readRows(query: AsyncIterable<arrow.RecordBatch>): AsyncGenerator<Row> {
  const batches = query[Symbol.asyncIterator]();
  for (;;) {
    const next = await guard(() => batches.next());
    if (next.done) return;
    const columns = next.value.schema.fields.map((field, i) => [field.name, next.value.getChildAt(i)] as const);
    for (let i = 0; i < next.value.numRows; i++) {
      yield Object.fromEntries(columns.map(([name, column]) => [name, column?.get(i)]));
    }
    await nextTurn();
  }
}
const number = (value: unknown): number => Number(value);
const span = (row: Row) => ({
  id: String(row.id),
  tenant: String(row.tenant),
  videoId: String(row.video_id),
  startMs: number(row.start_ms),
  endMs: number(row.end_ms),
});
const passage = (row: Row): PassageRow => ({
  ...span(row),
  text: String(row.text),
  ...(typeof row.language === 'string' ? { language: row.language } : {}),
});

// Queries ---------------------------------------------------------------------------------------------------------------------------------

/** A table for each model, named so that a person can read it; the hash keeps apart ids that look alike once cleaned. */
export function framesTable(model: { id: string; dimension: number }): string {
  const readable = model.id.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 60);
  const hash = createHash('sha256').update(model.id).digest('hex').slice(0, 8);
  return `${FRAMES_PREFIX}${readable}_${model.dimension}_${hash}`;
}
/** A SQL string: within one, only the quote itself has a meaning (DataFusion's generic dialect, no backslash escapes). */
const quote = (value: string): string => `'${value.toWellFormed().replaceAll("'", "''")}'`;
const filterSql = ({ tenant, videoIds }: IndexFilter): string =>
  `tenant = ${quote(tenant)}${videoIds ? ` AND video_id IN (${videoIds.map(quote).join(', ')})` : ''}`;
const listQuery = (table: Table, tenant: Tenant, videoId: string) =>
  table
    .query()
    .where(`tenant = ${quote(tenant)} AND video_id = ${quote(videoId)}`)
    .orderBy([{ columnName: 'start_ms' }, { columnName: 'id' }]);

/** Each word once (BM25 would count a repeated one again), no more than a person types. */
function queryWords(text: string): string {
  const words = text.slice(0, MAX_QUERY_CHARS).toWellFormed().toLowerCase().split(/\s+/);
  return [...new Set(words)].slice(0, 256).join(' ').trim();
}

/** The `limit` best, ties in the order of their ids. The engine cuts a tie anywhere: where the cut would lie in one, more is read, once. */
async function topRows<Hit extends { id: string; score: number }>(
  limit: number,
  read: (fetch: number) => Promise<Hit[]>,
): Promise<Hit[]> {
  if (limit < 1) return [];
  const ordered = async (fetch: number) => {
    const found = (await read(fetch)).filter((hit) => Number.isFinite(hit.score));
    return found.sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  };
  const fetch = limit + 32;
  let found = await ordered(fetch);
  const isCutInTie = found.length >= fetch && found.at(-1)?.score === found[limit - 1]?.score;
  if (isCutInTie && fetch < MAX_SEARCH_ROWS) found = await ordered(MAX_SEARCH_ROWS);
  return found.slice(0, limit);
}
function checkDimension(vector: Float32Array, model: { id: string; dimension: number }): void {
  if (vector.length === model.dimension) return;
  throw new RangeError(`A vector of ${vector.length} numbers where ${model.id} has ${model.dimension}`);
}

// Failures --------------------------------------------------------------------------------------------------------------------------------

/** Lance retries most conflicts itself; what is left (compaction against a delete, two index builds) starts anew from the latest version. */
async function retryConflicts<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      const isConflict = /conflict|preempted|concurrent|already exists|use an index more than once/i.test(
        String(error),
      );
      if (!isConflict || tries === MAX_ATTEMPTS) throw storeError(error);
      await sleep(Math.min(1000, 10 * 2 ** tries) * (0.5 + Math.random()));
    }
  }
}
async function guard<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storeError(error);
  }
}
function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (/no space left|os error 28\b/i.test(message)) return new StoreError('disk_full', message, true);
  return new StoreError('store_unavailable', `Vector index: ${message}`, true);
}
