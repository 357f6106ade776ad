import { Injectable } from '@nestjs/common';
import { type TitledVideo, Titles } from '#retrieval';
import { Catalog, type Tenant, type VideoName } from '#store';

/** Of a tenant, the newest: as many as a filter may name. About 1 KB each at most, some hundred bytes mostly. */
const MAX_VIDEOS = 10_000;
/** Of all tenants together: some 20 MB. */
const MAX_KEPT = 100_000;
/** Read, and cut into words, between two turns of the event loop: some ms. */
const BATCH = 100;

interface Kept {
  titles: Titles;
  mark: number;
}

/** Titles and metadata of the videos of each tenant that searches, in memory: read once, and then what the catalog says has changed. */
@Injectable()
export class TitlesService {
  /** Longest unused first. */
  readonly #kept = new Map<Tenant, Kept>();
  readonly #reading = new Map<Tenant, Promise<Titles>>();

  constructor(private readonly catalog: Catalog) {}

  /** As of now, or of a reading that is under way. */
  of(tenant: Tenant): Promise<Titles> {
    const reading = this.#reading.get(tenant) ?? this.#read(tenant).finally(() => this.#reading.delete(tenant));
    this.#reading.set(tenant, reading);
    return reading;
  }

  async #read(tenant: Tenant): Promise<Titles> {
    const known = this.#kept.get(tenant);
    const { ids, mark } = await this.catalog.renamedSince(tenant, known?.mark ?? 0);
    const isKept = known && ids && known.titles.size + ids.length <= 1.1 * MAX_VIDEOS;
    const titles = isKept ? await this.#update(tenant, known.titles, ids) : await this.#all(tenant);
    this.#kept.delete(tenant);
    this.#kept.set(tenant, { titles, mark });
    let size = [...this.#kept.values()].reduce((sum, one) => sum + one.titles.size, 0);
    for (const [oldest, { titles }] of this.#kept) {
      if (size <= MAX_KEPT || this.#kept.size === 1) break;
      this.#kept.delete(oldest);
      size -= titles.size;
    }
    return titles;
  }

  async #update(tenant: Tenant, titles: Titles, ids: string[]): Promise<Titles> {
    for (let at = 0; at < ids.length; at += BATCH) {
      const some = ids.slice(at, at + BATCH);
      const names = await this.catalog.namesOf(tenant, some);
      for (const id of some) if (!names.has(id)) titles.remove(id);
      titles.add([...names].map(titled));
    }
    return titles;
  }

  async #all(tenant: Tenant): Promise<Titles> {
    const titles = new Titles();
    for (let before: string | undefined; titles.size < MAX_VIDEOS; ) {
      const page = await this.catalog.listNames(tenant, { limit: BATCH, ...(before !== undefined && { before }) });
      titles.add([...page.names].map(titled));
      if (page.last === undefined) break;
      before = page.last;
    }
    return titles;
  }
}

const titled = ([id, { title, metadata, durationMs }]: [string, VideoName]): TitledVideo => ({
  ...{ id, title, metadata: Object.values(metadata) },
  ...(durationMs !== undefined && { durationMs }),
});
