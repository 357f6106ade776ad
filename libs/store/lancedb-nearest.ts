import type { Table } from '@lancedb/lancedb';
import { guard } from './lancedb-failures.ts';
import type { HeldTable } from './lancedb-held.ts';
import { filterSql } from './lancedb-query.ts';
import { readRanked } from './lancedb-read.ts';
import type { Row } from './lancedb-rows.ts';
import { countOf, type Known } from './lancedb-table.ts';
import type { FrameHit, IndexFilter } from './vector-index.ts';
import { dot } from './vectors.ts';

/**
 * Partitions of a vector index that are searched where all rows match: so many, and this share of a large one. A query that is near nothing is about as far
 * from many: of a million frames in 139 partitions 28, 40 and 64 find .57, .99 and 1.00 of the nearest 20 of such a query, and in 244 partitions 24, 32 and 48
 * find .68, .99 and 1.00 of all; what is near something is found in 16. Searching 64 takes 20 ms of processor time where 28 take 14.
 */
const PROBES = 64;
const PROBED_SHARE = 0.2;
/** How many candidates by their codes are compared again by their vectors, at least: reading those is half of a search. */
const CANDIDATES = 200;

/** The `fetch` rows that pass a filter whose vectors have the highest cosines with `vector`, as far as an index tells, and exactly where there is none. */
export async function nearest<Hit extends Omit<FrameHit, 'score'>>(
  {
    table,
    known,
    held,
    of,
    exactRows,
  }: { table: Table; known: Known; held: HeldTable; of: 'frames' | 'passages'; exactRows: number },
  vector: Float32Array,
  filter: IndexFilter,
  fetch: number,
  toHit: (row: Row) => Hit,
): Promise<(Hit & { score: number })[]> {
  const indexed = await guard(() => known.index);
  const where = filterSql(filter, of);
  const query = table.query().nearestTo(vector).distanceType('cosine').limit(fetch);
  let isWhole = false;
  if (indexed) {
    const [rows, all] = await guard(() => Promise.all([countOf(known, table, where), countOf(known, table)]));
    isWhole = rows === all && where === filterSql({ tenant: filter.tenant }, of);
    if (rows <= exactRows) query.bypassVectorIndex();
    else {
      // The fewer rows match, the more partitions hold the nearest of them.
      const { partitions } = indexed;
      const probes = Math.ceil(Math.max(PROBES, partitions * PROBED_SHARE) * Math.sqrt(indexed.rows / rows));
      query.nprobes(Math.min(probes, partitions)).limit(Math.max(fetch, CANDIDATES));
    }
  }
  // A filter that all rows pass costs a third of a search of a million. Rows of others may have come since they were counted.
  if (!isWhole) query.where(where);
  const lengthOf = (one: Float32Array) => Math.sqrt(dot(one, one));
  const length = lengthOf(vector);
  // The index ranks by codes. Compared again here, the vectors are read once: the engine would read those that are asked for a second time.
  const hits = await readRanked(table, held, query, '_distance', (row) => {
    const own = row.vector();
    return { ...toHit(row), score: dot(own, vector) / (lengthOf(own) * length || 1) };
  });
  return hits
    .filter(({ tenant }) => tenant === filter.tenant)
    .sort((a, b) => b.score - a.score)
    .slice(0, fetch);
}
