import { isAscii } from 'node:buffer';
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

/**
 * What is read of a hit, as one text: Lance reads a few hundred single rows at a price for each column of each row, so six columns took twice as long as
 * two (100,000 rows; three times of a million). The columns it is made of are there for filters and order.
 */
export const HIT = 'hit';
const SEPARATOR = '\x1f'; // US, which ids and languages do not have
const HIT_PARTS = ['id', 'tenant', 'video_id', 'start_ms', 'end_ms', 'language', 'kind'];
/** The same in SQL, for the rows of an earlier version. Of those columns that a table has. */
export const hitSql = (columns: string[]): string => {
  const parts = HIT_PARTS.filter((name) => columns.includes(name));
  return `concat_ws(chr(31), ${parts.map((name) => `coalesce(cast(${name} as string), '')`).join(', ')})`;
};
export const FRAME_COLUMNS = [HIT, 'vector'];
export const PASSAGE_COLUMNS = [HIT, 'text'];
export const EMBEDDED_PASSAGE_COLUMNS = [...PASSAGE_COLUMNS, 'vector'];

const spanFields = () => [
  new arrow.Field('id', new arrow.Utf8(), false, new Map([['lance-schema:unenforced-primary-key', 'true']])),
  new arrow.Field('tenant', new arrow.Utf8(), false),
  new arrow.Field('video_id', new arrow.Utf8(), false),
  new arrow.Field('start_ms', new arrow.Float64(), false),
  new arrow.Field('end_ms', new arrow.Float64(), false),
  new arrow.Field(HIT, new arrow.Utf8(), true), // null: as a column that was added to a table is declared
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
  return {
    schema,
    toArrow: (rows) =>
      toTable(schema, rows.length, [...spanData(rows, rows.map(spanParts)), vectorData(rows, dimension)]),
  };
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
const spanData = (rows: (FrameRow | PassageRow)[], hits: string[][]): arrow.Data[] => [
  utf8(rows.map((row) => row.id)),
  utf8(rows.map((row) => row.tenant)),
  utf8(rows.map((row) => row.videoId)),
  float64(rows.map((row) => row.startMs)),
  float64(rows.map((row) => row.endMs)),
  utf8(hits.map((parts) => parts.join(SEPARATOR))),
];
const spanParts = ({ id, tenant, videoId, startMs, endMs }: FrameRow | PassageRow): string[] => [
  id,
  tenant,
  videoId,
  String(startMs),
  String(endMs),
];
const passageData = (rows: PassageRow[]): arrow.Data[] => [
  ...spanData(
    rows,
    rows.map((row) => [...spanParts(row), row.language ?? '', row.kind ?? 'speech']),
  ),
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

/** All rows of a query, read batch by batch (1,024 rows), with a turn of the event loop after each. */
export async function readRows<Read>(
  query: AsyncIterable<arrow.RecordBatch>,
  toRead: (row: Row) => Read,
): Promise<Read[]> {
  const found: Read[] = [];
  const batches = query[Symbol.asyncIterator]();
  for (;;) {
    const next = await guard(() => batches.next());
    if (next.done) return found;
    const row = new Row(next.value);
    for (row.at = 0; row.at < next.value.numRows; row.at++) found.push(toRead(row));
    await nextTurn();
  }
}
/**
 * A row of a batch, and then the next one: values are read where they lie, and only those that are asked for. A search reads ten thousand, for which Arrow's
 * own reader, made for columns of any kind, took several times as long as the search.
 */
export class Row {
  at = 0;
  readonly #columns: Map<string, { data: arrow.Data; text: (row: number) => string }>;

  constructor(batch: arrow.RecordBatch, textsOf: TextsOf = allTexts) {
    this.#columns = new Map(
      batch.schema.fields.map(({ name }, i) => {
        const data = batch.data.children[i] as arrow.Data;
        return [
          name,
          { data, text: arrow.DataType.isUtf8(data.type) ? textsOf(data as arrow.Data<arrow.Utf8>) : String },
        ];
      }),
    );
  }

  /** Undefined where there is none. */
  text(name: string): string | undefined {
    const { data, text } = this.#column(name);
    return data.getValid(this.at) ? text(this.at) : undefined;
  }
  number(name: string): number {
    return Number((this.#column(name).data.values as Float64Array)[this.at]);
  }
  /** A view of the batch, which stays in memory as long as one of its vectors does. */
  vector(): Float32Array {
    const { children, stride } = this.#column('vector').data;
    const { values } = children[0] as arrow.Data<arrow.Float32>;
    return values.subarray(this.at * stride, (this.at + 1) * stride);
  }

  #column(name: string) {
    const column = this.#columns.get(name);
    if (!column) throw new RangeError(`No column ${name} was read`);
    return column;
  }
}
/** Texts of a column by row. */
type TextsOf = (column: arrow.Data<arrow.Utf8>) => (row: number) => string;
/** For a batch of which few rows are read. */
export const eachText: TextsOf = ({ values, valueOffsets }) => {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return (row) => bytes.toString('utf8', valueOffsets[row], valueOffsets[row + 1]);
};
/** For one that is read whole: where all is ASCII (ids, most of English), the column becomes one string, of which each text is a part. */
function allTexts(column: arrow.Data<arrow.Utf8>): (row: number) => string {
  const { values, valueOffsets, length } = column;
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  const [start = 0, end = 0] = [valueOffsets[0], valueOffsets[length]];
  if (!isAscii(bytes.subarray(start, end))) return eachText(column);
  const all = bytes.toString('latin1', start, end);
  return (row) => all.slice((valueOffsets[row] as number) - start, (valueOffsets[row + 1] as number) - start);
}

/** A row that a process of an earlier version wrote, which knows nothing of this column. */
export class HitMissing extends Error {}
function partsOf(row: Row): string[] {
  const hit = row.text(HIT);
  if (hit === undefined) throw new HitMissing();
  return hit.split(SEPARATOR);
}
const toSpan = ([id = '', tenant = '', videoId = '', startMs, endMs]: string[]) => ({
  id,
  tenant,
  videoId,
  startMs: Number(startMs),
  endMs: Number(endMs),
});
export const span = (row: Row) => toSpan(partsOf(row));
export const frame = (row: Row): FrameRow => ({ ...span(row), vector: row.vector() });
export function passage(row: Row): PassageRow {
  const parts = partsOf(row);
  const [language, kind] = parts.slice(5);
  return {
    ...toSpan(parts),
    text: row.text('text') ?? '',
    kind: kind === 'caption' ? 'caption' : 'speech',
    ...(language && { language }),
  };
}
