import { setImmediate as nextTurn } from 'node:timers/promises';
import * as arrow from 'apache-arrow';
import { guard } from './lancedb-failures.ts';
import type { EmbeddedPassageRow, FrameRow, PassageRow } from './vector-index.ts';
import { terms } from './words.ts';

/** Rows as LanceDB keeps them. A table is of frames, of passages, or of passages with their vectors of one model. */
export interface TableShape<Row> {
  schema: arrow.Schema;
  toArrow: (rows: Row[]) => arrow.Table;
}

export const SPAN_COLUMNS = ['id', 'tenant', 'video_id', 'start_ms', 'end_ms'];
export const PASSAGE_COLUMNS = [...SPAN_COLUMNS, 'text', 'language', 'kind'];

const spanFields = () => [
  new arrow.Field('id', new arrow.Utf8(), false, new Map([['lance-schema:unenforced-primary-key', 'true']])),
  new arrow.Field('tenant', new arrow.Utf8(), false),
  new arrow.Field('video_id', new arrow.Utf8(), false),
  new arrow.Field('start_ms', new arrow.Float64(), false),
  new arrow.Field('end_ms', new arrow.Float64(), false),
];
const passageFields = () => [
  ...spanFields(),
  new arrow.Field('text', new arrow.Utf8(), false),
  new arrow.Field('language', new arrow.Utf8(), true),
  new arrow.Field('kind', new arrow.Utf8(), true),
];
/** The text as words are compared, for the text index alone: only we know of languages. */
const termsField = () => new arrow.Field('terms', new arrow.Utf8(), true);
const vectorType = (dimension: number) =>
  new arrow.FixedSizeList(dimension, new arrow.Field('item', new arrow.Float32(), true));
const vectorField = (dimension: number) => new arrow.Field('vector', vectorType(dimension), false);

export function framesShape(dimension: number): TableShape<FrameRow> {
  const schema = new arrow.Schema([...spanFields(), vectorField(dimension)]);
  return { schema, toArrow: (rows) => toTable(schema, rows.length, [...spanData(rows), vectorData(rows, dimension)]) };
}
export function passagesShape(): TableShape<PassageRow> {
  const schema = new arrow.Schema([...passageFields(), termsField()]);
  const termsOf = (rows: PassageRow[]) => utf8(rows.map(({ text, language }) => terms(text, language).join(' ')));
  return { schema, toArrow: (rows) => toTable(schema, rows.length, [...passageData(rows), termsOf(rows)]) };
}
export function embeddedPassagesShape(dimension: number): TableShape<EmbeddedPassageRow & { vector: Float32Array }> {
  const schema = new arrow.Schema([...passageFields(), vectorField(dimension)]);
  return {
    schema,
    toArrow: (rows) => toTable(schema, rows.length, [...passageData(rows), vectorData(rows, dimension)]),
  };
}

// Column by column from typed arrays: many times faster than LanceDB's own conversion of records.
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
const passageData = (rows: PassageRow[]): arrow.Data[] => [
  ...spanData(rows),
  utf8(rows.map((row) => row.text)),
  utf8(rows.map((row) => row.language ?? null)),
  utf8(rows.map((row) => row.kind ?? 'speech')),
];
function vectorData(rows: { vector: Float32Array }[], dimension: number): arrow.Data {
  const values = new Float32Array(rows.length * dimension);
  rows.forEach((row, i) => {
    values.set(row.vector, i * dimension);
  });
  const child = arrow.makeData({ type: new arrow.Float32(), data: values });
  return arrow.makeData({ type: vectorType(dimension), length: rows.length, nullCount: 0, child });
}
function toTable(schema: arrow.Schema, length: number, children: arrow.Data[]): arrow.Table {
  const data = arrow.makeData({ type: new arrow.Struct(schema.fields), length, nullCount: 0, children });
  return new arrow.Table(schema, new arrow.RecordBatch(schema, data));
}

type Row = Record<string, unknown>;
/** Rows of a query batch by batch (1,024 rows), with a turn of the event loop after each. */
export async function* readRows(query: AsyncIterable<arrow.RecordBatch>): AsyncGenerator<Row> {
  const batches = query[Symbol.asyncIterator]();
  for (;;) {
    const next = await guard(() => batches.next());
    if (next.done) return;
    const columns = next.value.schema.fields.map(({ name }, i) => ({ name, at: reader(next.value.getChildAt(i)) }));
    for (let i = 0; i < next.value.numRows; i++) {
      const row: Row = {};
      for (const { name, at } of columns) row[name] = at(i);
      yield row;
    }
    await nextTurn();
  }
}
/** Values of a column by row. Text by Node's own decoder: Arrow's takes several times as long for a short one, and a search reads two thousand. */
function reader(column: arrow.Vector | null): (row: number) => unknown {
  const [data] = column?.data ?? [];
  if (!column || !data || column.data.length > 1 || column.nullCount > 0 || !arrow.DataType.isUtf8(column.type))
    return (row) => column?.get(row);
  const { values, valueOffsets } = data as arrow.Data<arrow.Utf8>;
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return (row) => bytes.toString('utf8', valueOffsets[row], valueOffsets[row + 1]);
}
export const number = (value: unknown): number => Number(value);
export const vectorOf = (row: Row): Float32Array => (row.vector as arrow.Vector<arrow.Float32>).toArray().slice();
export const span = (row: Row) => ({
  id: String(row.id),
  tenant: String(row.tenant),
  videoId: String(row.video_id),
  startMs: number(row.start_ms),
  endMs: number(row.end_ms),
});
export const passage = (row: Row): PassageRow => ({
  ...span(row),
  text: String(row.text),
  kind: row.kind === 'caption' ? 'caption' : 'speech',
  ...(typeof row.language === 'string' ? { language: row.language } : {}),
});
