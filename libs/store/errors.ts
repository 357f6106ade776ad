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
