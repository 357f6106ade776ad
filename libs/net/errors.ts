export type NetErrorCode = 'url_invalid' | 'address_refused' | 'request_failed' | 'request_timeout';

/** Why a request was not made or not answered. What is wrong with the address is final; what is wrong with the network may be tried again. */
export class NetError extends Error {
  override readonly name = 'NetError';
  constructor(
    readonly code: NetErrorCode,
    message: string,
    readonly retryable = false,
  ) {
    super(message);
  }
}
