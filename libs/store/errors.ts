export type StoreErrorCode = 'blob_not_found' | 'blob_too_large' | 'disk_full' | 'cursor_invalid' | 'store_unavailable';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  constructor(
    readonly code: StoreErrorCode,
    message: string,
    readonly retryable = false,
  ) {
    super(message);
  }
}

/** Whether the system says that a disk, or what a user may have of it, is full. */
export const isFull = (error: unknown): boolean =>
  ['ENOSPC', 'EDQUOT'].includes((error as { code?: string } | undefined)?.code ?? '');

/** A server that keeps things for us (Qdrant, the object store) is out of reach or has trouble of its own: what was asked is asked again when it is back. */
export class StoreAway extends StoreError {
  constructor(message: string) {
    super('store_unavailable', message, true);
  }
}
