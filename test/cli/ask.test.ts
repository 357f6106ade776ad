import request from 'supertest';
import { expect, test, vi } from 'vitest';
import { passageId } from '#store';
import { setVideo, startApi } from '../fixtures/api.ts';
import { CLI, Running } from './processes.ts';

// A safety net for a busy machine.
vi.setConfig({ testTimeout: 120_000 });

test('`cuepoint ask` shows an answer with its places, streams it, prints JSON, and goes on with a conversation', async () => {
  const api = await startApi();
  try {
    const { body } = await request(api.url)
      .post('/v1/videos')
      .field('title', 'Ta\u001blk\u009b\u202e')
      .attach('file', Buffer.alloc(9), 'a.mp4');
    const at = { tenant: 'default', videoId: body.id as string };
    await api.index.upsertPassages(
      ['the exam is on monday', 'bring a pencil'].map((text, i) => {
        const startMs = 10_000 * (i + 1);
        return { ...at, id: passageId(at.videoId, startMs), startMs, endMs: startMs + 2_000, text };
      }),
    );
    await setVideo(api, { id: at.videoId }, { status: 'ready' });
    const ask = (...args: string[]) => Running.start([CLI, 'ask', ...args, '--api', api.url]).ended();
    const answer = 'Said at 0:10 in "Talk": “the exam is on monday” [1].';

    for (const how of [[], ['--stream']]) {
      const { status, stdout, stderr } = await ask('who says the exam is on monday', ...how);
      expect([status, stderr]).toEqual([0, expect.stringContaining('--conversation ')]);
      expect(stdout).toMatch(/^Said at 0:10 in "Talk": “the exam is on monday” \[1\]\.\n\[1\] +Talk +00:10–00:12\n$/);
    }
    const { records } = await ask('who says the exam is on monday', '--json', '--video', at.videoId);
    expect(records).toEqual([expect.objectContaining({ type: 'answer', answer, found: true, mode: 'extractive' })]);
    const next = await ask('and what is said after that', '--conversation', String(records[0]?.conversationId));
    expect(next.stdout).toContain('“bring a pencil” [1].');

    const understood = await ask('what about a pencil', '--conversation', String(records[0]?.conversationId));
    expect(understood.stderr).toContain('understood as: and what is said after that → a pencil\n');

    const unknown = await ask('x', '--stream', '--conversation', at.videoId);
    expect([unknown.status, unknown.stderr]).toEqual([1, expect.stringContaining('conversation_not_found')]);
  } finally {
    await api.close();
  }
});
