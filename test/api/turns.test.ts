import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { importBuilt } from '../fixtures/api.ts';

type TurnsModule = typeof import('../../apps/api/search/turns.ts');

describe('Turns', () => {
  let Turns: TurnsModule['Turns'];
  beforeAll(async () => {
    ({ Turns } = await importBuilt<TurnsModule>('search/turns.js'));
  });

  it('lets so many run at a time, in the order they came, and goes on after one that fails', async () => {
    const turns = new Turns(2);
    const begun: number[] = [];
    let running = 0;
    let most = 0;
    const all = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) =>
        turns.take(async () => {
          begun.push(i);
          most = Math.max(most, ++running);
          await sleep(5);
          running--;
          if (i === 1) throw new Error('no');
          return i;
        }),
      ),
    );
    expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(most).toBe(2);
    expect(all.map((one) => one.status === 'fulfilled')).toEqual([true, false, true, true, true, true, true, true]);
    expect(await turns.take(async () => 'after')).toBe('after');
  });
});
