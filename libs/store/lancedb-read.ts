import type { Query, Table, VectorQuery } from '@lancedb/lancedb';
import { storeError } from './lancedb-failures.ts';
import type { HeldTable } from './lancedb-held.ts';
import { quote } from './lancedb-query.ts';
import { FRAME_COLUMNS, frame, HitMissing, type Row, readRows } from './lancedb-rows.ts';
import { fillMissingColumns } from './lancedb-table.ts';
import type { FrameRow } from './vector-index.ts';
import { byId } from './vector-index-common.ts';

/** How often an older version's process may write between filling in its rows and reading them. */
const MAX_FILLS = 5;
/** Rows as hits, which those of an older version become first. */
export async function readHits<Read>(table: Table, read: () => Promise<Read[]>): Promise<Read[]> {
  for (let fills = 0; ; fills++) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof HitMissing)) throw error;
      if (fills === MAX_FILLS) throw storeError(error);
      await fillMissingColumns(table);
    }
  }
}

/** A search that has no columns yet: its rows are read from memory, or by the engine where not all of them are held. `rank` is what the search itself gives of a row. */
export async function readRanked<Read>(
  table: Table,
  held: HeldTable,
  search: VectorQuery | Query,
  rank: '_score' | '_distance',
  toRead: (row: Row, ranked: Row) => Read,
): Promise<Read[]> {
  return readHits(
    table,
    async () =>
      (await held.hits(search.select([rank]).withRowId(), toRead)) ??
      (await readRows(search.select([...held.columns, rank]), (row) => toRead(row, row))),
  );
}

const BY_ID = [{ columnName: 'id' }];
export const IN_TIME = [{ columnName: 'start_ms' }, ...BY_ID];
/** Lance cannot order by columns that are not read, where the filter is answered by an index. */
export const ORDER_COLUMNS = ['start_ms', 'id'];

export async function framesOf(table: Table, where: string, order?: typeof IN_TIME): Promise<FrameRow[]> {
  const query = table
    .query()
    .where(where)
    .select([...FRAME_COLUMNS, ...(order ? ORDER_COLUMNS : [])]);
  const rows = await readHits(table, () => readRows(order ? query.orderBy(order) : query, frame));
  return order ? rows : rows.sort(byId);
}

/** Vectors of the `count` rows with the lowest ids. */
export async function sampleOf(table: Table, where: string, count: number): Promise<Float32Array[]> {
  // In two steps: ordering rows together with their vectors would read the vectors of all rows.
  const idOf = (row: Row) => row.text('id') ?? '';
  const inOrder = table.query().where(where).orderBy(BY_ID).limit(count).select(['id']);
  const last = (await readRows(inOrder, idOf)).at(-1);
  if (last === undefined) return [];
  const lowest = table.query().where(`${where} AND id <= ${quote(last)}`);
  const rows = await readRows(lowest.select(['id', 'vector']), (row) => ({ id: idOf(row), vector: row.vector() }));
  return rows
    .sort(byId)
    .slice(0, count)
    .map((row) => row.vector);
}
