import './lancedb-log.ts';
import { MatchQuery, type Table } from '@lancedb/lancedb';
import { guard, isConflict } from './lancedb-failures.ts';
import { LanceFolder } from './lancedb-folder.ts';
import { HeldTables } from './lancedb-held.ts';
import { nearest } from './lancedb-nearest.ts';
import {
  embeddedPassagesTable,
  filterSql,
  framesTable,
  isFrames,
  isIn,
  PASSAGES,
  readFiltered,
  topRows,
} from './lancedb-query.ts';
import { framesOf, IN_TIME, ORDER_COLUMNS, readHits, readRanked, sampleOf } from './lancedb-read.ts';
import {
  EMBEDDED_PASSAGE_COLUMNS,
  embeddedPassagesShape,
  FRAME_COLUMNS,
  frame,
  framesShape,
  HIT,
  PASSAGE_COLUMNS,
  passage,
  passagesShape,
  type Row,
  readRows,
  span,
} from './lancedb-rows.ts';
import {
  compact,
  ensureSearchIndexes,
  fillMissingColumns,
  type Keeping,
  type Known,
  type Upkeep,
  vectorIndexOf,
} from './lancedb-table.ts';
import type { Tenant } from './types.ts';
import type {
  EmbeddedPassageRow,
  FrameHit,
  FrameRow,
  IndexFilter,
  PassageHit,
  PassageKind,
  PassageRow,
  VectorIndex,
  VectorModel,
} from './vector-index.ts';
import {
  aroundInstant,
  checkVector,
  clampLimit,
  MAX_QUERY_CHARS,
  matchesNothing,
  shownAt,
} from './vector-index-common.ts';
import { SampleCache } from './vector-index-sample.ts';
import { queryTerms } from './words.ts';

/** Ids of one query. */
const MAX_IDS = 1000;
/** Terms of one text search. */
const MAX_TERMS = 512;

/** What a test sets to see in seconds what takes a large index or an hour. */
export interface LanceTuning extends Keeping {
  /** Tables of so many rows get a vector index; smaller ones are searched exactly. */
  indexRows: number;
  /** A filter that leaves no more rows than this is answered exactly, from those rows: an index would first look in the wrong places. */
  exactRows: number;
  /** Tables of so many bytes together are held in memory by a process that searches them. 0: none. */
  heldBytes: number;
}
/**
 * From so many rows on the index is faster: an exact search of 10,000 x 512 numbers takes 25 ms of one core, one with an index 20 ms whatever it holds, and
 * reading the 5,000 rows that a filter leaves 15 ms (docs/search.md).
 */
const TUNING: LanceTuning = {
  indexRows: 10_000,
  exactRows: 5_000,
  heldBytes: 512 * 2 ** 20,
  keepVersionsMs: 10 * 60_000,
  keepUnknownMs: 60 * 60_000,
  // Some 250 videos, which leave 60 to 100 MB.
  renewAfter: 1000,
};

/**
 * LanceDB in a folder, shared by any number of processes. A row's id is declared the table's (unenforced) primary key: only then does Lance see that two
 * writers insert the same new id (without it both inserts stay: lance issue 8949); ids are left without a scalar index for the same reason.
 * Vectors are searched exactly until a table has `indexRows` rows; from then on by an index that `optimize` makes and keeps, together with the rows that
 * came since. Upkeep runs once more by itself when the versions that the last writes replaced may be dropped.
 */
export class LanceIndex implements VectorIndex {
  readonly #samples = new SampleCache();
  readonly #held: HeldTables;

  readonly #known = new Map<string, Known>();
  #upkeep: NodeJS.Timeout | undefined;
  #optimizing: Promise<void> = Promise.resolve();

  readonly #folder: LanceFolder;

  private constructor(
    folder: LanceFolder,
    readonly tuning: LanceTuning,
  ) {
    this.#folder = folder;
    this.#held = new HeldTables(tuning.heldBytes);
  }

  static async open(dir: string, tuning: Partial<LanceTuning> = {}): Promise<LanceIndex> {
    const all = { ...TUNING, ...tuning };
    return new LanceIndex(await LanceFolder.open(dir, all), all);
  }

  async upsertFrames(model: VectorModel, rows: FrameRow[]): Promise<void> {
    for (const row of rows) checkVector(row.vector, model);
    if (rows.length === 0) return;
    const { schema, toArrow } = framesShape(model.dimension);
    const name = framesTable(model);
    await this.#folder.writer(name, schema).upsert(rows, toArrow);
    this.#upkeepLater();
  }

  async upsertPassages(rows: EmbeddedPassageRow[], model?: VectorModel): Promise<void> {
    if (rows.length === 0) return;
    const embedded: (EmbeddedPassageRow & { vector: Float32Array })[] = [];
    for (const { vector, ...row } of rows) {
      if (!vector) continue;
      if (!model) throw new RangeError('Passages have vectors, but no model is named');
      checkVector(vector, model);
      embedded.push({ ...row, vector });
    }
    if (model && embedded.length > 0) {
      const { schema, toArrow } = embeddedPassagesShape(model.dimension);
      const name = embeddedPassagesTable(model);
      await this.#folder.writer(name, schema).upsert(embedded, toArrow);
    }
    await this.#folder.passagesWriter().upsert<PassageRow>(rows, passagesShape().toArrow);
    this.#upkeepLater();
  }

  async deleteVideo(tenant: Tenant, videoId: string): Promise<void> {
    await this.#deleteWhere(filterSql({ tenant, videoIds: [videoId] }, 'frames'), () => true);
  }

  async deleteFrames(tenant: Tenant, videoId: string, model?: VectorModel): Promise<void> {
    const where = filterSql({ tenant, videoIds: [videoId] }, 'frames');
    await this.#deleteWhere(where, (name) => (model ? name === framesTable(model) : isFrames(name)));
  }

  async deletePassages(tenant: Tenant, videoId: string, kinds?: PassageKind[]): Promise<void> {
    if (kinds?.length === 0) return;
    const where = filterSql({ tenant, videoIds: [videoId], kinds }, 'passages');
    await this.#deleteWhere(where, (name) => name.startsWith(PASSAGES));
  }

  async searchFrames(
    model: VectorModel,
    vector: Float32Array,
    filter: IndexFilter,
    limit: number,
    options: { withVectors?: boolean } = {},
  ): Promise<FrameHit[]> {
    checkVector(vector, model);
    const toHit: (row: Row) => Omit<FrameHit, 'score'> = options.withVectors ? frame : span;
    return this.#nearest('frames', framesTable(model), vector, filter, limit, toHit);
  }

  searchFramesBatch(
    model: VectorModel,
    vectors: Float32Array[],
    filter: IndexFilter,
    limit: number,
    options?: { withVectors?: boolean },
  ): Promise<FrameHit[][]> {
    return Promise.all(vectors.map((vector) => this.searchFrames(model, vector, filter, limit, options)));
  }

  async searchPassages(text: string, filter: IndexFilter, limit: number): Promise<PassageHit[]> {
    const words = queryTerms(text.slice(0, MAX_QUERY_CHARS), filter.language).slice(0, MAX_TERMS);
    const count = clampLimit(limit);
    if (words.length === 0 || count === 0 || matchesNothing(filter)) return [];
    const table = await this.#folder.find(PASSAGES);
    if (!table) return [];
    const held = this.#held.of(PASSAGES, table, await guard(() => table.version()), PASSAGE_COLUMNS);
    const read = async (filter: IndexFilter, fetch: number) => {
      // A MatchQuery is words and nothing else: no operators, so nothing a user types is a syntax error.
      const query = table
        .query()
        .fullTextSearch(new MatchQuery(words.join(' '), 'terms'))
        .where(filterSql(filter, 'passages'))
        .limit(fetch);
      const toHit = (row: Row, ranked: Row): PassageHit => ({ ...passage(row), score: ranked.number('_score') });
      return readRanked(table, held, query, '_score', toHit);
    };
    return topRows(count, (fetch) => readFiltered(filter, fetch, read));
  }

  async searchPassagesByVector(
    model: VectorModel,
    vector: Float32Array,
    filter: IndexFilter,
    limit: number,
  ): Promise<PassageHit[]> {
    checkVector(vector, model);
    return this.#nearest('passages', embeddedPassagesTable(model), vector, filter, limit, passage);
  }

  async getFrames(model: VectorModel, tenant: Tenant, ids: string[]): Promise<FrameRow[]> {
    const table = await this.#folder.find(framesTable(model));
    const rows: FrameRow[] = [];
    for (let at = 0; table && at < ids.length; at += MAX_IDS) {
      const where = `${filterSql({ tenant }, 'frames')} AND ${isIn('id', ids.slice(at, at + MAX_IDS))}`;
      rows.push(...(await framesOf(table, where)));
    }
    return rows;
  }

  async frameAt(model: VectorModel, tenant: Tenant, videoId: string, atMs: number): Promise<FrameRow | undefined> {
    const table = await this.#folder.find(framesTable(model));
    if (!table || !Number.isFinite(atMs)) return undefined;
    for (const timeRange of aroundInstant(atMs)) {
      const where = filterSql({ tenant, videoIds: [videoId], timeRange }, 'frames');
      const query = table.query().where(where).select([HIT]);
      const spans = await readHits(table, () => readRows(query, span));
      const shown = shownAt(spans, atMs);
      if (shown) return (await framesOf(table, `${where} AND ${isIn('id', [shown.id])}`))[0];
    }
    return undefined;
  }

  sampleFrames(model: VectorModel, filter: IndexFilter, count: number): Promise<Float32Array[]> {
    return this.#sample(framesTable(model), filterSql(filter, 'frames'), filter, count);
  }

  samplePassages(model: VectorModel, filter: IndexFilter, count: number): Promise<Float32Array[]> {
    return this.#sample(embeddedPassagesTable(model), filterSql(filter, 'passages'), filter, count);
  }

  async listFrames(
    model: VectorModel,
    tenant: Tenant,
    videoId: string,
    { timeRange }: Pick<IndexFilter, 'timeRange'> = {},
  ): Promise<FrameRow[]> {
    const table = await this.#folder.find(framesTable(model));
    return table ? framesOf(table, filterSql({ tenant, videoIds: [videoId], timeRange }, 'frames'), IN_TIME) : [];
  }

  async listPassages(
    tenant: Tenant,
    videoId: string,
    filter: Pick<IndexFilter, 'kinds' | 'language' | 'timeRange'> = {},
  ): Promise<PassageRow[]> {
    const table = await this.#folder.find(PASSAGES);
    const all = { ...filter, tenant, videoIds: [videoId] };
    if (!table || matchesNothing(all)) return [];
    const query = table.query().where(filterSql(all, 'passages')).orderBy(IN_TIME);
    const rows = query.select([...PASSAGE_COLUMNS, ...ORDER_COLUMNS]);
    return readHits(table, () => readRows(rows, passage));
  }

  async videos(limit: number): Promise<{ tenant: Tenant; videoId: string }[]> {
    const found = new Map<string, { tenant: Tenant; videoId: string }>();
    for (const name of await this.#folder.written()) {
      const table = await this.#folder.find(name);
      if (!table) continue;
      await readRows(table.query().select(['tenant', 'video_id']), (row) => {
        const [tenant = '', videoId = ''] = [row.text('tenant'), row.text('video_id')];
        found.set(`${tenant}/${videoId}`, { tenant, videoId });
      });
    }
    return [...found.values()].slice(0, limit);
  }

  /** LanceDB has no aliases: who reads the folder finds the active model in the catalog. */
  async nameActiveFrames(): Promise<void> {}

  /** Tables are emptied and stay: other processes hold them open, and write to them again should their model come back. */
  async dropFramesExcept(keep: VectorModel[]): Promise<number> {
    const kept = keep.map(framesTable);
    let dropped = 0;
    for (const name of await this.#folder.written()) {
      if (!isFrames(name) || kept.includes(name)) continue;
      dropped += await this.#folder.writerOf(name).exclusive(async (table) => {
        if ((await table.countRows()) === 0) return 0;
        await table.delete('true');
        return 1;
      });
    }
    this.#upkeepLater();
    return dropped;
  }

  /** One after the other: two in one process would only get in each other's way. */
  optimize(): Promise<void> {
    const run = this.#optimizing.then(() => this.#optimize());
    this.#optimizing = run.catch(() => {});
    return run;
  }

  async #optimize(): Promise<void> {
    clearTimeout(this.#upkeep);
    this.#upkeep = undefined;
    const { indexRows, keepUnknownMs } = this.tuning;
    let isChanged = false;
    let hasRested = true;
    for (const name of await this.#folder.written()) {
      const writer = this.#folder.writerOf(name);
      writer.holdsCompaction = true;
      try {
        await writer.exclusive(fillMissingColumns);
        // What a compaction wrote before another process's commit undid it was for nothing: later, not at once again.
        const done = await writer
          .exclusive((table) => compact(table, this.tuning, writer.resting), 1)
          .catch(unlessConflict);
        isChanged ||= done.isChanged;
        hasRested &&= done.hasRested;
        // Not in the writer's turn: writes go on meanwhile.
        const table = await this.#folder.find(name);
        if (table) isChanged = (await ensureSearchIndexes(table, indexRows)) || isChanged;
      } finally {
        writer.holdsCompaction = false;
      }
    }
    if (isChanged) this.#upkeepLater();
    else if (!hasRested) this.#upkeepLater(keepUnknownMs);
  }

  /** What was replaced or removed is kept for those who are reading it; once nobody can be, it goes. */
  #upkeepLater(ms = this.tuning.keepVersionsMs): void {
    this.#upkeep ??= setTimeout(() => {
      this.optimize().catch(() => {});
    }, ms + 60_000).unref();
  }

  /** Waits for writes that were begun, then lets go of the files; the process can exit. */
  async close(): Promise<void> {
    if (!this.#folder.isOpen) return;
    clearTimeout(this.#upkeep);
    await this.#held.close();
    await this.#folder.close();
  }

  async #deleteWhere(where: string, isMeant: (table: string) => boolean): Promise<void> {
    for (const name of await this.#folder.written()) {
      if (isMeant(name)) await this.#folder.writerOf(name).exclusive((table) => table.delete(where));
    }
    this.#upkeepLater();
  }

  async #nearest<Hit extends Omit<FrameHit, 'score'>>(
    of: 'frames' | 'passages',
    name: string,
    vector: Float32Array,
    filter: IndexFilter,
    limit: number,
    toHit: (row: Row) => Hit,
  ): Promise<(Hit & { score: number })[]> {
    const count = clampLimit(limit);
    const table = count > 0 && !matchesNothing(filter) ? await this.#folder.find(name) : undefined;
    if (!table) return [];
    const known = await guard(() => this.#knownOf(name, table));
    const columns = of === 'frames' ? FRAME_COLUMNS : EMBEDDED_PASSAGE_COLUMNS;
    const held = this.#held.of(name, table, known.version, columns);
    const { exactRows } = this.tuning;
    const read = (filter: IndexFilter, fetch: number) =>
      nearest({ table, known, held, of, exactRows }, vector, filter, fetch, toHit);
    return topRows(count, (fetch) => readFiltered(filter, fetch, read));
  }

  async #knownOf(name: string, table: Table): Promise<Known> {
    const version = await table.version();
    let known = this.#known.get(name);
    if (known?.version !== version) {
      if (known) this.#folder.changed();
      known = { version, index: vectorIndexOf(table), counts: new Map() };
      this.#known.set(name, known);
      known.index.catch(() => this.#known.delete(name));
    }
    return known;
  }

  async #sample(name: string, where: string, filter: IndexFilter, limit: number): Promise<Float32Array[]> {
    const count = clampLimit(limit);
    const table = count > 0 && !matchesNothing(filter) ? await this.#folder.find(name) : undefined;
    if (!table) return [];
    const version = await guard(() => table.version());
    return this.#samples.get(`${name} ${count} ${where}`, count, version, () => sampleOf(table, where, count));
  }
}

function unlessConflict(error: unknown): Upkeep {
  if (isConflict(error)) return { isChanged: true, hasRested: false };
  throw error;
}
