/** What each store must do is tested in each: LanceDB, a stand-in for Qdrant, and Qdrant itself where QDRANT_URL is set. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, it } from 'vitest';
import { openVectorIndex, type VectorIndex } from '#store';
import { startQdrantStandIn } from './index-qdrant.ts';
import { uuid } from './index-rows.ts';

export const qdrantUrl = process.env.QDRANT_URL;
if (!qdrantUrl) console.log('Qdrant itself is not tested: QDRANT_URL is not set. A stand-in answers in its place.');
const standIn = await startQdrantStandIn();
if (!standIn.isChecked) console.log('Requests to Qdrant are not checked: ../shared/qdrant/openapi.json is not there.');
afterAll(() => standIn.close());

const stores = [
  { name: 'LanceDB', url: undefined, skip: false },
  { name: 'a stand-in for Qdrant', url: standIn.url, skip: false },
  { name: qdrantUrl ? 'Qdrant' : 'Qdrant (skipped: QDRANT_URL is not set)', url: qdrantUrl, skip: !qdrantUrl },
];

/** An empty index of its own for each test; a server is shared, so each has a tenant of its own, too. */
export interface Store {
  index: VectorIndex;
  tenant: string;
  dir: string;
  /** Undefined for LanceDB. */
  url: string | undefined;
  /** Another connection. */
  open: () => Promise<VectorIndex>;
  /** `it`, or a skip where there is no server. */
  holds: ReturnType<typeof it.skipIf>;
  /** The stand-in shares this process: what it takes is not ours. */
  holdsAtSize: ReturnType<typeof it.skipIf>;
  /** Not on a server where others' collections may lie. */
  holdsAlone: ReturnType<typeof it.skipIf>;
}

export function inEachStore(what: string, tests: (store: Store) => void): void {
  describe.each(stores)(`${what} in $name`, ({ url, skip }) => {
    const opened: VectorIndex[] = [];
    const store: Store = {
      index: undefined as never,
      tenant: '',
      dir: '',
      url,
      open: async () => {
        const one = await openVectorIndex({ lanceDir: store.dir, ...(url !== undefined && { qdrant: { url } }) });
        opened.push(one);
        return one;
      },
      holds: it.skipIf(skip),
      holdsAtSize: it.skipIf(skip || url === standIn.url),
      holdsAlone: it.skipIf(skip || (url === qdrantUrl && url !== undefined)),
    };
    beforeEach(async () => {
      store.dir = await mkdtemp(join(tmpdir(), 'cuepoint-index-'));
      store.tenant = uuid(store.dir);
      if (!skip) store.index = await store.open();
    });
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close();
      await rm(store.dir, { recursive: true, force: true });
    });
    tests(store);
  });
}
