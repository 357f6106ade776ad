import { StoreAway, StoreError } from './errors.ts';

export const statusOf = (error: unknown): number | undefined => (error as { status?: number }).status;
/** A key that is refused is no fault of what was asked; neither are a timeout and too many requests. */
const PASSING_STATUS = [401, 403, 408, 429];
/** What Qdrant says is wrong; its status alone says little. */
function wordsOf(error: unknown): string {
  const { data, cause } = error as { data?: string | { status?: { error?: string } }; cause?: unknown };
  const said = typeof data === 'string' ? data : data?.status?.error;
  const words = [error, cause].filter((part) => part instanceof Error).map((part) => part.message);
  return [...words, said].filter(Boolean).join(': ') || String(error);
}
/** `ifMissing` answers for a collection that nobody has written to yet (404). */
export async function guard<T>(request: () => Promise<T>, ifMissing?: NoInfer<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    const status = statusOf(error);
    if (status === 404 && ifMissing !== undefined) return ifMissing;
    const message = `Qdrant: ${wordsOf(error)}`;
    const isRefused = status !== undefined && status < 500 && !PASSING_STATUS.includes(status);
    throw isRefused ? new StoreError('store_unavailable', message) : new StoreAway(message);
  }
}
