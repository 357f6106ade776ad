/** Why a model cannot be had or run. Stable: clients match on these. */
export type ModelErrorCode =
  | 'model_not_found' // no such folder, hub id or file
  | 'model_incomplete' // a file is missing, half-written or fails its checksum
  | 'model_invalid' // the files do not belong together, or onnxruntime refuses them
  | 'hub_unreachable'
  | 'hub_refused' // 401/403/404/429 from the hub, or a proxy that lets nobody through
  | 'disk_full' // no room for what is fetched
  | 'cache_unwritable' // the folder for fetched models takes no files
  | 'device_unavailable' // the asked-for execution provider can't be had
  | 'language_unsupported' // the asked-for language is not one of the model's
  | 'inference_failed';

export class ModelError extends Error {
  override readonly name = 'ModelError';
  constructor(
    readonly code: ModelErrorCode,
    message: string,
    readonly retryable = false,
  ) {
    super(message);
  }
}
