import type { Engine, EngineSpec } from '../engine.ts';
export class WhisperEngine implements Engine {
  readonly info = {};
  static async open(_spec: EngineSpec & { kind: 'whisper' }): Promise<WhisperEngine> {
    throw new Error('unfinished');
  }
  async close(): Promise<void> {}
}
