import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { v7 } from 'uuid';
import { expect, it } from 'vitest';
import type { Config } from '#config';
import { type Catalog, openBlobs, type Video } from '#store';
import { fetchSource } from '../../apps/worker/fetch-source.ts';
import { tempDir } from '../fixtures/media.ts';

it.each([
  ['ends before its length', { 'content-length': '1000' }],
  ['is not packed as it says', { 'content-encoding': 'gzip' }],
])('a source that %s is unavailable, tried again, and nothing of it stays', async (_, headers) => {
  await using dir = await tempDir();
  await using server = createServer((_, response) => {
    response.writeHead(200, headers).write('not all of it');
    setTimeout(() => response.destroy(), 100);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const blobs = openBlobs({ dir: join(dir.path, 'blobs') });
  const id = v7();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/video`;
  const video = { id, tenant: 'default', run: 1, source: { kind: 'url', url } } as Video;
  const config = { http: { maxUploadBytes: 1e6, minFreeDiskBytes: 0 }, outgoing: { ingest: 'loopback' } } as Config;
  const { signal } = new AbortController();
  await expect(fetchSource(video, config, { blobs, catalog: {} as Catalog }, signal)).rejects.toMatchObject({
    code: 'source_unavailable',
    retryable: true,
    message: expect.stringMatching(/^127\.0\.0\.1:\d+ broke off: (?!terminated)./),
  });
  expect(await blobs.stat(`default/${id}/source`)).toBeUndefined();
});
