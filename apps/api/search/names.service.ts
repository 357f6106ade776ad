import { Injectable } from '@nestjs/common';
import { type TitledVideo, Titles } from '#retrieval';
import { Catalog, type Tenant, type VideoName } from '#store';

/** Of a tenant, the newest: as many as a filter may name. About 1 KB each at most, some hundred bytes mostly. */
const MAX_VIDEOS = 10_000;
/** Of all tenants together: some 20 MB. */
const MAX_KEPT = 100_000;
/** Read, and cut into words, between two turns of the event loop: some ms. */
const BATCH = 100;

/** What a tenant's videos are called. */
export interface VideoNames {
  readonly byId: ReadonlyMap<string, VideoName>;
  /** The same, to be looked through by words. */
  readonly titles: Titles;
  /** Whether these are all of the tenant's videos, and not the newest of very many. */
  readonly areAll: boolean;
}
interface Kept extends VideoNames {
  readonly byId: Map<string, VideoName>;
  mark: number;
}
/** A reading under way, and the one that follows it for those who have come since it began. */
interface Reading {
  now: Promise<VideoNames>;
  next?: Promise<VideoNames>;
}

/** What the videos of each tenant that searches are called, in memory: read once, and then what the catalog says has changed. */
@Injectable()
export class NamesService {
  /** Longest unused first. */
  readonly #kept = new Map<Tenant, Kept>();
  readonly #reading = new Map<Tenant, Reading>();

  constructor(private readonly catalog: Catalog) {}

  /** As of now, or a little later. */
  of(tenant: Tenant): Promise<VideoNames> {
    const current = this.#reading.get(tenant);
    if (!current) return this.#begin(tenant);
    const begin = () => this.#begin(tenant);
    current.next ??= current.now.then(begin, begin);
    return current.next;
  }

  /** The names of these; of those that are gone or being deleted, none. `known`: what `of` gave. */
  async forIds(tenant: Tenant, ids: string[], { byId, areAll }: VideoNames): Promise<Map<string, VideoName>> {
    const older = areAll ? [] : ids.filter((id) => !byId.has(id));
    const names = await this.catalog.namesOf(tenant, older);
    for (const id of ids) {
      const name = byId.get(id);
      if (name) names.set(id, name);
    }
    return names;
  }

  /** The names of all of a tenant's videos, some at a time. */
  async *all(tenant: Tenant): AsyncGenerator<Iterable<[id: string, name: VideoName]>> {
    const known = await this.of(tenant);
    if (known.areAll) yield known.byId;
    else yield* this.#pages(tenant);
  }

  #begin(tenant: Tenant): Promise<VideoNames> {
    const reading: Reading = {
      now: this.#read(tenant).finally(() => {
        if (!reading.next) this.#reading.delete(tenant);
      }),
    };
    this.#reading.set(tenant, reading);
    return reading.now;
  }

  async #read(tenant: Tenant): Promise<VideoNames> {
    const known = this.#kept.get(tenant);
    const { ids, mark } = await this.catalog.renamedSince(tenant, known?.mark ?? 0);
    const goesOn = known && ids && known.byId.size + ids.length <= 1.1 * MAX_VIDEOS;
    const names = goesOn ? await this.#update(tenant, known, ids) : await this.#readAll(tenant);
    this.#kept.delete(tenant);
    this.#kept.set(tenant, { ...names, mark });
    let size = [...this.#kept.values()].reduce((sum, one) => sum + one.byId.size, 0);
    for (const [oldest, { byId }] of this.#kept) {
      if (size <= MAX_KEPT || this.#kept.size === 1) break;
      this.#kept.delete(oldest);
      size -= byId.size;
    }
    return names;
  }

  async #update(tenant: Tenant, known: Kept, ids: string[]): Promise<Omit<Kept, 'mark'>> {
    for (let at = 0; at < ids.length; at += BATCH) {
      const some = ids.slice(at, at + BATCH);
      const names = await this.catalog.namesOf(tenant, some);
      for (const id of some) {
        if (names.has(id)) continue;
        known.byId.delete(id);
        known.titles.remove(id);
      }
      add(known, names);
    }
    return known;
  }

  async #readAll(tenant: Tenant): Promise<Omit<Kept, 'mark'>> {
    const read = { byId: new Map<string, VideoName>(), titles: new Titles() };
    for await (const names of this.#pages(tenant)) {
      if (read.byId.size >= MAX_VIDEOS) return { ...read, areAll: false };
      add(read, names);
    }
    return { ...read, areAll: true };
  }

  /** Newest first. */
  async *#pages(tenant: Tenant): AsyncGenerator<Map<string, VideoName>> {
    for (let before: string | undefined; ; ) {
      const page = await this.catalog.listNames(tenant, { limit: BATCH, ...(before !== undefined && { before }) });
      if (page.last === undefined) return;
      yield page.names;
      before = page.last;
    }
  }
}

function add({ byId, titles }: Pick<Kept, 'byId' | 'titles'>, names: Map<string, VideoName>): void {
  for (const [id, name] of names) byId.set(id, name);
  titles.add([...names].map(titled));
}

const titled = ([id, { title, metadata, durationMs }]: [string, VideoName]): TitledVideo => ({
  ...{ id, title, metadata: Object.values(metadata) },
  ...(durationMs !== undefined && { durationMs }),
});
