export type Device = 'auto' | 'cpu' | 'cuda' | 'tensorrt' | 'coreml' | 'dml';
export interface RuntimeOptions {
  device: Device;
  /** Threads of one onnxruntime session; default: the cores this process may use. */
  threads?: number;
}
