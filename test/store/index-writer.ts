/** A second process for index-together.test.ts: says `ready`, waits for a line, does as argv says to the index in a folder, says `done`, and ends by itself. */
import { openVectorIndex } from '#store';
import { frame, MODEL, passage } from './index-rows.ts';

const [dir = '', task = '', videoId = '', count = '0'] = process.argv.slice(2);
const url = process.env.QDRANT_URL;
/** Upkeep makes a vector index at 4,000 rows, and is killed before it ends. */
const lance = task === 'upkeep' ? { indexRows: 4000, keepVersionsMs: 60_000 } : {};
const index = await openVectorIndex({ lanceDir: dir, lance, ...(url && { qdrant: { url } }) });
console.log('ready');
await new Promise((resolve) => process.stdin.once('data', resolve));
process.stdin.destroy();
for (let i = 0; i < Number(count); i++) {
  if (task === 'write') {
    await index.upsertFrames(MODEL, [frame('default', videoId, i), frame('default', videoId, i + 1)]);
    await index.upsertPassages([passage('default', videoId, i, `sentence number ${i} of the writer`)]);
  } else {
    await index.optimize();
  }
}
await index.close();
console.log('done');
