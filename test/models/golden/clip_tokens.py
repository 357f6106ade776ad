"""Writes clip-tokens.json: token ids that the reference tokeniser (Rust) gives, cut to the model's context.

    pip install tokenizers && python test/models/golden/clip_tokens.py
"""
import json
import pathlib

from tokenizers import Tokenizer

here = pathlib.Path(__file__).parent
tokenizer = Tokenizer.from_file(str(here.parents[2] / "models/tiny/clip/tokenizer.json"))
tokenizer.enable_truncation(77)
texts = [
    "a red car on a road",
    "A RED  car,\non a road!",
    "",
    "it's 12 o'clock — Schöne Grüße 日本 🙂",
    "automobile dog elephant",
    " ".join(["a green triangle and a yellow star"] * 20),
]
out = [{"text": text, "ids": tokenizer.encode(text).ids} for text in texts]
(here / "clip-tokens.json").write_text(json.dumps(out, ensure_ascii=False) + "\n")
