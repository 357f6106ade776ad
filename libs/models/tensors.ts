/** Numbers at a model's border. fp16 exports may take and give float16; what a session wants is read from its metadata. */
import { type InferenceSession, Tensor } from 'onnxruntime-node';

/** The type of an input: float16 for such exports, else float32. */
export function floatTypeOf(session: InferenceSession, input: string): 'float16' | 'float32' {
  const found = session.inputMetadata.find(({ name }) => name === input);
  return found?.isTensor && found.type === 'float16' ? 'float16' : 'float32';
}

/** A tensor of these numbers, in the type that the session's `input` takes. float32 is taken as it is, without a copy. */
export function floatTensor(
  session: InferenceSession,
  input: string,
  data: Float32Array,
  dims: readonly number[],
): Tensor {
  if (floatTypeOf(session, input) === 'float32') return new Tensor('float32', data, dims);
  // onnxruntime-common takes either view of the same 16 bits; its types know only this one.
  const { buffer } = new Float16Array(data);
  return new Tensor('float16', new Uint16Array(buffer), dims);
}

/** The tensor itself where its type is the one that `input` takes, else a converted copy: an encoder's output for a decoder of another precision. */
export function asInput(session: InferenceSession, input: string, tensor: Tensor): Tensor {
  if (tensor.type === floatTypeOf(session, input)) return tensor;
  return floatTensor(session, input, floats(tensor), tensor.dims);
}

/** A float tensor's numbers as float32: its own memory, or a converted copy of float16. Throws for another type. */
export function floats(tensor: Tensor): Float32Array {
  const data: unknown = tensor.data;
  if (data instanceof Float32Array) return data;
  if (data instanceof Float16Array) return new Float32Array(data);
  throw new Error(`a tensor of ${tensor.type} where floats were to be`);
}
