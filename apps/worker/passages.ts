import type { PassageEncoder } from '#models';
import type { PassageRow, VectorIndex } from '#store';

/** Writes passages; with an embedding each where there is a model for it, so that they are found by meaning and not by their words alone. */
export async function writePassages(
  index: VectorIndex,
  encoder: PassageEncoder | undefined,
  rows: PassageRow[],
  signal: AbortSignal,
): Promise<void> {
  if (!encoder) return index.upsertPassages(rows);
  const vectors = await encoder.encodePassages(
    rows.map(({ text }) => text),
    signal,
  );
  const embedded = rows.map((row, i) => ({ ...row, vector: vectors[i] }));
  await index.upsertPassages(embedded, { id: encoder.id, dimension: encoder.dimension });
}
