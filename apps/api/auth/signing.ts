import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tenant } from '#store';

/** Links work for 6 to 12 hours; their end is on a grid, so that a browser's cache meets the same address again. */
const GRID_SECONDS = 6 * 3600;

/** Signs paths, so that `<video src>` and `EventSource`, which cannot send a key, can read what belongs to a tenant. */
export class Signer {
  constructor(private readonly secret: string) {}

  sign(tenant: Tenant, path: string, nowMs = Date.now()): string {
    const expires = (Math.floor(nowMs / 1000 / GRID_SECONDS) + 2) * GRID_SECONDS;
    return `${path}?expires=${expires}&signature=${this.#mac(tenant, path, String(expires))}`;
  }

  /** The tenant, among those there are, for whom this path was signed. */
  verify(
    tenants: Tenant[],
    path: string,
    expires: string,
    signature: string,
    nowMs = Date.now(),
  ): { state: 'valid'; tenant: Tenant } | { state: 'expired' | 'invalid' } {
    const given = Buffer.from(signature);
    let tenant: Tenant | undefined;
    for (const candidate of tenants) {
      const expected = Buffer.from(this.#mac(candidate, path, expires));
      if (given.length === expected.length && timingSafeEqual(given, expected)) tenant = candidate;
    }
    if (tenant === undefined) return { state: 'invalid' };
    return Number(expires) * 1000 > nowMs ? { state: 'valid', tenant } : { state: 'expired' };
  }

  #mac(tenant: Tenant, path: string, expires: string): string {
    return createHmac('sha256', this.secret).update(`${tenant}\n${path}\n${expires}`).digest('base64url');
  }
}

/** SIGNING_SECRET, else the one in the data folder, which the first api to start makes. */
export async function signingSecret(configured: string | undefined, dataDir: string): Promise<string> {
  if (configured) return configured;
  await mkdir(dataDir, { recursive: true });
  const path = join(dataDir, 'signing-secret');
  const kept = await readFile(path, 'utf8').catch(missing);
  if (kept) return kept.trim();
  // Written aside and linked: of two that start at once one wins, and nobody reads a half-written file.
  const aside = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const file = await open(aside, 'wx', 0o600);
  try {
    await file.writeFile(randomBytes(32).toString('base64url'));
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await link(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(aside, { force: true });
  }
  return (await readFile(path, 'utf8')).trim();
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
