"""What both models have in common: JSON files, vocabularies with nothing learnt, 8-bit weights."""

from __future__ import annotations

import json
from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import pre_tokenizers

LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())


def write_json(folder: Path, files: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
PAIRS = [a + b for a in SYLLABLES for b in SYLLABLES]
# The search benchmark's words (test/bench/search-data.ts) end in these, so they come first.
_ENDS = SYLLABLES[30:] + SYLLABLES[:30]


def words() -> list[str]:
    """Made-up words of two and three syllables, all different, enough to fill a vocabulary."""
    return PAIRS + [pair + c for c in _ENDS for pair in PAIRS]


def quantise(source: Path) -> None:
    """Writes `X_quantized.onnx` beside `X.onnx`: matrices as 8-bit integers, activations quantised as they come."""
    target = source.with_name(f"{source.stem}_quantized.onnx")
    options = {"EnableSubgraph": True, "MatMulConstBOnly": True}
    kinds = ["MatMul"]
    quantize_dynamic(source, target, kinds, weight_type=QuantType.QUInt8, extra_options=options)
