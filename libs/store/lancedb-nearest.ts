import type { Table } from '@lancedb/lancedb';
import { guard } from './lancedb-failures.ts';
import { filterSql } from './lancedb-query.ts';
import type { Row } from './lancedb-rows.ts';
import { countOf, type Known, readHits } from './lancedb-table.ts';
import type { FrameHit, IndexFilter } from './vector-index.ts';
import { dot } from './vectors.ts';

/**
 * Partitions of a vector index that are searched where all rows match: so many, and this share of a large one. Of a million frames in 244 partitions,
 * 24, 32 and 48 find .68, .99 and 1.00 of the nearest 20, since a query that is near nothing is about as far from many; all 244 take half as long again.
 */
const PROBES = 24;
const PROBED_SHARE = 0.2;
/** How many candidates by their codes are compared again by their vectors, at least: reading those is half of a search. */
const CANDIDATES = 200;

/** The `fetch` rows that pass a filter whose vectors have the highest cosines with `vector`, as far as an index tells, and exactly where there is none. */
export async function nearest<Hit extends Omit<FrameHit, 'score'>>(
  { table, known, of, exactRows }: { table: Table; known: Known; of: 'frames' | 'passages'; exactRows: number },
  vector: Float32Array,
  filter: IndexFilter,
  fetch: number,
  columns: string[],
  toHit: (row: Row) => Hit,
): Promise<(Hit & { score: number })[]> {
  const indexed = await guard(() => known.index);
  const where = filterSql(filter, of);
  const query = table.query().nearestTo(vector).distanceType('cosine').limit(fetch);
  // Vectors that are read anyway are compared here: the engine would read each of them twice.
  const comparesHere = columns.includes('vector');
  let isWhole = false;
  if (indexed) {
    const [rows, all] = await guard(() => Promise.all([countOf(known, table, where), countOf(known, table)]));
    isWhole = rows === all && where === filterSql({ tenant: filter.tenant }, of);
    if (rows <= exactRows) query.bypassVectorIndex();
    else {
      // The fewer rows match, the more partitions hold the nearest of them.
      const { partitions } = indexed;
      const probes = Math.ceil(Math.max(PROBES, partitions * PROBED_SHARE) * Math.sqrt(indexed.rows / rows));
      query.nprobes(Math.min(probes, partitions));
      if (comparesHere) query.limit(Math.max(fetch, CANDIDATES));
      else query.refineFactor(Math.ceil(CANDIDATES / fetch));
    }
  }
  // A filter that all rows pass costs a third of a search of a million. Rows of others may have come since they were counted.
  if (!isWhole) query.where(where);
  const lengthOf = (one: Float32Array) => Math.sqrt(dot(one, one));
  const length = lengthOf(vector);
  const hits = await readHits(table, query.select([...columns, '_distance']), (row) => {
    const hit = toHit(row);
    const { vector: own } = hit;
    return { ...hit, score: own ? dot(own, vector) / (lengthOf(own) * length || 1) : 1 - row.number('_distance') };
  });
  return hits
    .filter(({ tenant }) => tenant === filter.tenant)
    .sort((a, b) => b.score - a.score)
    .slice(0, fetch);
}
