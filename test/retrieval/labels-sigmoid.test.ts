import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ClipModel, openClip } from '#models';
import { labelsOfVideo, readLabels } from '#retrieval';
import { frameId, openVectorIndex, type VectorIndex } from '#store';
import { readPicture } from '../fixtures/media.ts';
import { golden, goldenModel } from '../models/golden.ts';

const texts = golden('texts.json.gz') as string[];
const { probabilities } = golden('siglip.json.gz') as { probabilities: Record<string, Record<string, number>> };
const tenant = 't';
const id = '0190a000-0000-7000-8000-000000000001';
const scratch = mkdtempSync(join(tmpdir(), 'cuepoint-sigmoid-'));
let siglip: ClipModel;
let index: VectorIndex;

beforeAll(async () => {
  siglip = await openClip(goldenModel('siglip', scratch), { id: 'small', device: 'cpu', towers: 'both' });
  index = await openVectorIndex({ lanceDir: join(scratch, 'lance') });
});
afterAll(async () => {
  await siglip?.close();
  await index?.close();
  rmSync(scratch, { recursive: true });
});

it('a sigmoid model judges each label by itself, as likely as the reference says, in however short a video', async () => {
  const deps = { index, encoder: siglip };
  for (const [file, expected] of Object.entries(probabilities)) {
    const [width, height] = (/\d+x\d+/.exec(file)?.[0] ?? '').split('x').map(Number) as [number, number];
    const rgb = new Uint8Array(await readPicture(join(import.meta.dirname, '../models/golden/clip-pictures', file)));
    const [vector] = (await siglip.encodePictures([{ rgb, width, height }])) as [Float32Array];
    await index.upsertFrames(siglip, [{ id: frameId(id, 0), tenant, videoId: id, startMs: 0, endMs: 1000, vector }]);
    const names = Object.keys(expected).map((i) => texts[Number(i)] as string);
    const labels = await readLabels(deps, tenant, names);
    const found = await labelsOfVideo(deps, labels, { tenant, id, durationMs: 1000 });
    const likely = Object.entries(expected).filter(([, probability]) => probability > 0.5);
    expect(new Set(found.map(({ label }) => label))).toEqual(new Set(likely.map(([i]) => texts[Number(i)])));
    for (const [i, probability] of likely) {
      const { confidence = 0 } = found.find(({ label }) => label === texts[Number(i)]) ?? {};
      expect(Math.abs(confidence - probability), texts[Number(i)]).toBeLessThan(1e-4);
    }
    // Next to no other label, it is as likely as next to all.
    const alone = await readLabels(deps, tenant, [texts[25] as string]);
    const [only] = await labelsOfVideo(deps, alone, { tenant, id, durationMs: 1000 });
    expect(only?.confidence).toBe(found.find(({ label }) => label === texts[25])?.confidence);
  }
});
