import { existsSync, readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';

type Json = Record<string, unknown>;
interface Operation {
  parameters?: { name: string; in: string; required?: boolean }[];
  requestBody?: { content: { 'application/json': { schema: Json } } };
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: Json;
}

const FILE = new URL('../../../shared/qdrant/openapi.json', import.meta.url);

/**
 * Says what is wrong with a request to Qdrant by its OpenAPI document, or nothing; undefined where the document is not there. Stricter than the document
 * in one thing: a field that it does not name is wrong.
 */
export function qdrantRequests(): ((method: string, url: string, body: unknown) => string | undefined) | undefined {
  if (!existsSync(FILE)) return undefined;
  const document: Document = JSON.parse(readFileSync(FILE, 'utf8'));
  const ajv = new Ajv({ strict: false, allErrors: false, validateFormats: false });
  ajv.addSchema({ $id: 'qdrant', components: strict(document.components) });
  const validators = new Map<string, ValidateFunction>();

  return (method, url, body) => {
    const { pathname, searchParams } = new URL(url, 'http://localhost');
    const found = Object.entries(document.paths).find(
      ([path, operations]) => method.toLowerCase() in operations && shape(path).test(pathname),
    );
    if (!found) return `${method} ${pathname} is no request of Qdrant's`;
    const operation = found[1][method.toLowerCase()] as Operation;
    for (const name of searchParams.keys()) {
      if (!operation.parameters?.some((one) => one.in === 'query' && one.name === name))
        return `${method} ${pathname} takes no ${name}`;
    }
    const schema = operation.requestBody?.content['application/json'].schema;
    if (!schema) return body === undefined ? undefined : `${method} ${pathname} takes no body`;
    const key = `${method} ${found[0]}`;
    const validate = validators.get(key) ?? ajv.compile(strict(absolute(schema)));
    validators.set(key, validate);
    return validate(body) ? undefined : `${key}: ${ajv.errorsText(validate.errors)}`;
  };
}

/** A path of the document as a pattern; one with fewer parameters comes first in it, so that `/collections/aliases` is no collection. */
const shape = (path: string): RegExp => new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`);

/** OpenAPI 3.0's `nullable` in terms of JSON Schema, and no fields but those that are named. */
function strict<T>(node: T): T {
  if (Array.isArray(node)) return node.map(strict) as T;
  if (typeof node !== 'object' || node === null) return node;
  const { nullable, ...rest } = node as Json;
  const schema: Json = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, strict(value)]));
  if (nullable === true)
    schema.type = typeof schema.type === 'string' ? [schema.type, 'null'] : (schema.type ?? 'null');
  if (schema.type === 'object' && schema.properties && !('additionalProperties' in schema))
    schema.additionalProperties = false;
  return schema as T;
}
/** References from outside the document's own schema. */
function absolute<T>(node: T): T {
  return JSON.parse(JSON.stringify(node).replaceAll('"#/components', '"qdrant#/components'));
}
