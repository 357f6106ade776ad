/**
 * SentencePiece's precompiled character map (tokenizer.json: `precompiled_charsmap`), applied as Hugging Face's reference does
 * (crate spm_precompiled): a trie of UTF-8 byte strings in a double array (darts-clone), and behind it their replacements, each ended by NUL.
 */
export class PrecompiledCharsmap {
  readonly #units: Uint32Array;
  readonly #replacements: Buffer;
  readonly #graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' });

  constructor(base64: string) {
    const bytes = Buffer.from(base64, 'base64');
    const trieBytes = bytes.length >= 4 ? bytes.readUInt32LE(0) : Infinity;
    if (4 + trieBytes > bytes.length || trieBytes % 4 !== 0) throw new Error('its precompiled_charsmap is cut off');
    this.#units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
    this.#replacements = bytes.subarray(4 + trieBytes);
  }

  normalise(text: string): string {
    let out = '';
    for (const { segment } of this.#graphemes.segment(text)) {
      // The reference looks up short graphemes as a whole and others character by character.
      const whole = Buffer.byteLength(segment) < 6 ? this.#replacement(segment) : undefined;
      if (whole !== undefined) out += whole;
      else for (const character of segment) out += this.#replacement(character) ?? character;
    }
    return out;
  }

  /** For the shortest start of `key` that the map has (as the reference: what follows it in the key is lost), if any. */
  #replacement(key: string): string | undefined {
    const at = this.#find(Buffer.from(key));
    if (at === undefined) return undefined;
    return this.#replacements.toString('utf8', at, this.#replacements.indexOf(0, at));
  }

  #find(key: Buffer): number | undefined {
    const units = this.#units;
    let node = offset(units[0] as number);
    for (const byte of key) {
      if (byte === 0) return undefined;
      node ^= byte;
      const unit = units[node] ?? 0;
      // The label of an inner unit is its low byte with the top bit clear.
      if ((unit & 0x800000ff) !== byte) return undefined;
      node ^= offset(unit);
      const hasLeaf = (unit >>> 8) & 1;
      if (hasLeaf) return (units[node] as number) & 0x7fffffff;
    }
    return undefined;
  }
}

const offset = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6);
