import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { qdrantRequests } from './index-qdrant-schema.ts';

type Dense = number[];
interface Sparse {
  indices: number[];
  values: number[];
}
interface Point {
  id: string;
  vector: Record<string, Dense | Sparse>;
  payload: Record<string, unknown>;
}
interface Condition {
  key?: string;
  match?: { value?: unknown; any?: unknown[] };
  range?: { lt?: number; gt?: number };
  has_id?: string[];
}
interface Filter {
  must?: Condition[];
  must_not?: Condition[];
}
interface Query {
  query: Dense | Sparse;
  using: string;
  filter?: Filter;
  limit?: number;
  with_vector?: boolean | string[];
}
interface Body {
  actions?: {
    create_alias?: { alias_name: string; collection_name: string };
    delete_alias?: { alias_name: string };
  }[];
  points?: Point[];
  key?: string;
  searches?: Query[];
  filter?: Filter;
  limit?: number;
  offset?: string;
  with_vector?: boolean | string[];
}

export interface QdrantRequest {
  method: string;
  path: string;
  body: unknown;
  headers: IncomingHttpHeaders;
}

/**
 * A stand-in for Qdrant: as much of its HTTP API as Cuepoint uses, in memory and exact. It checks our side of the conversation (requests, paging, missing
 * collections), not Qdrant. Each request is checked against Qdrant's OpenAPI document where that is there (`isChecked`); one that is wrong is refused.
 * `onRequest` sees every request; what `refusal` gives is the answer to all.
 */
export async function startQdrantStandIn(
  onRequest?: (request: QdrantRequest) => void,
  refusal?: () => { status: number; error: string } | undefined,
) {
  const collections = new Map<string, Map<string, Point>>();
  const aliases = new Map<string, string>();
  const problemWith = qdrantRequests();

  function answer(method: string, path: string, body: Body): { status: number; result: unknown } {
    if (path === '/collections') {
      return { status: 200, result: { collections: [...collections.keys()].map((name) => ({ name })) } };
    }
    if (path === '/aliases') {
      const named = [...aliases].map(([alias_name, collection_name]) => ({ alias_name, collection_name }));
      return { status: 200, result: { aliases: named } };
    }
    if (path === '/collections/aliases') {
      for (const { create_alias: made, delete_alias: removed } of body.actions ?? []) {
        if (removed) aliases.delete(removed.alias_name);
        if (made && !collections.has(made.collection_name)) return { status: 404, result: null };
        if (made) aliases.set(made.alias_name, made.collection_name);
      }
      return { status: 200, result: true };
    }
    const [name = '', ...rest] = path.split('/').slice(2).map(decodeURIComponent);
    const action = `${method} ${rest.join('/')}`;
    const points = collections.get(name);
    if (action === 'GET exists') return { status: 200, result: { exists: points !== undefined } };
    if (action === 'PUT ') {
      if (points) return { status: 409, result: null };
      collections.set(name, new Map());
      return { status: 200, result: true };
    }
    if (action === 'DELETE ') return { status: 200, result: collections.delete(name) };
    if (!points) return { status: 404, result: null };
    const matching = [...points.values()].filter((point) => matches(point, body.filter));
    switch (action) {
      case 'PUT index':
        return { status: 200, result: { status: 'completed' } };
      case 'PUT points':
        for (const point of body.points ?? []) points.set(point.id, { ...point, vector: normalised(point.vector) });
        return { status: 200, result: { status: 'completed' } };
      case 'POST points/delete':
        for (const point of matching) points.delete(point.id);
        return { status: 200, result: { status: 'completed' } };
      case 'POST points/scroll': {
        const limit = body.limit ?? 10;
        const left = matching.sort((a, b) => (a.id < b.id ? -1 : 1)).filter(({ id }) => id >= (body.offset ?? ''));
        const page = left.slice(0, limit).map(({ id, payload, vector }) => ({
          id,
          payload,
          ...(body.with_vector && { vector: chosen(vector, body.with_vector) }),
        }));
        return { status: 200, result: { points: page, next_page_offset: left[limit]?.id ?? null } };
      }
      case 'POST facet': {
        const values = matching.map(({ payload }) => payload[body.key ?? ''] as string);
        const hits = [...new Set(values)].map((value) => ({
          value,
          count: values.filter((one) => one === value).length,
        }));
        return { status: 200, result: { hits: hits.slice(0, body.limit ?? 10) } };
      }
      case 'POST points/query/batch': {
        const found = (body.searches ?? []).map((search) => {
          const scored = [...points.values()]
            .filter((point) => matches(point, search.filter) && point.vector[search.using] !== undefined)
            .map((point) => ({ point, score: score(point.vector, search, points) }))
            .filter((one) => Array.isArray(search.query) || one.score > 0)
            .sort((a, b) => b.score - a.score || (a.point.id < b.point.id ? -1 : 1))
            .slice(0, search.limit ?? 10);
          return {
            points: scored.map(({ point: { id, payload, vector }, score }) => ({
              id,
              version: 0,
              payload,
              score,
              ...(search.with_vector && { vector: chosen(vector, search.with_vector) }),
            })),
          };
        });
        return { status: 200, result: found };
      }
      default:
        return { status: 400, result: null };
    }
  }

  const server = createServer(async (request, response) => {
    const text = await read(request);
    const body: Body = text ? JSON.parse(text) : {};
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    onRequest?.({ method: request.method ?? '', path, body, headers: request.headers });
    const refused = refusal?.();
    const problem = refused?.error ?? problemWith?.(request.method ?? '', request.url ?? '/', text ? body : undefined);
    const { status, result } = problem
      ? { status: refused?.status ?? 422, result: null }
      : answer(request.method ?? '', path, body);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ time: 0, status: status === 200 ? 'ok' : { error: problem ?? 'no' }, result }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    isChecked: problemWith !== undefined,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
function matches(point: Point, filter: Filter = {}): boolean {
  const holds = ({ key = '', match, range, has_id }: Condition): boolean => {
    const value = point.payload[key];
    if (has_id) return has_id.includes(point.id);
    if (range) return (value as number) < (range.lt ?? Infinity) && (value as number) > (range.gt ?? -Infinity);
    return match?.any ? match.any.includes(value) : value === match?.value;
  };
  return (filter.must ?? []).every(holds) && !(filter.must_not ?? []).some(holds);
}
function chosen(vectors: Point['vector'], names: boolean | string[]): Point['vector'] {
  return Object.fromEntries(
    Object.entries(vectors).filter(([name]) => names === true || [names].flat().includes(name)),
  );
}
/** Qdrant normalises what it compares by cosine. */
function normalised(vectors: Point['vector']): Point['vector'] {
  const unit = (vector: Dense | Sparse) => {
    if (!Array.isArray(vector)) return vector;
    const length = Math.hypot(...vector);
    return vector.map((value) => Math.fround(value / length));
  };
  return Object.fromEntries(Object.entries(vectors).map(([name, vector]) => [name, unit(vector)]));
}
function score(vectors: Point['vector'], { query, using }: Query, points: Map<string, Point>): number {
  const own = vectors[using];
  if (Array.isArray(query) && Array.isArray(own)) return dot(query, own) / Math.hypot(...query);
  if (Array.isArray(query) || Array.isArray(own)) return Number.NaN;
  // Qdrant's idf: https://qdrant.tech/documentation/concepts/indexing/#idf-modifier
  const idf = (index: number) => {
    const holding = [...points.values()].filter((point) =>
      (point.vector[using] as Sparse | undefined)?.indices.includes(index),
    ).length;
    return Math.log(1 + (points.size - holding + 0.5) / (holding + 0.5));
  };
  return query.indices.reduce((total, index, i) => {
    const at = own?.indices.indexOf(index) ?? -1;
    return at < 0 ? total : total + (query.values[i] ?? 0) * (own?.values[at] ?? 0) * idf(index);
  }, 0);
}
const dot = (a: Dense, b: Dense): number => a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
