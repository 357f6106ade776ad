"""The tiny Whisper's tokens: byte-level BPE in which every word of the grammar is one token, then Whisper's special
tokens and timestamps in Whisper's order."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tokenizers import pre_tokenizers

from . import grammar

WINDOW_SECONDS = 30
TIMESTAMP_STEP = 0.02
LAST_TIMESTAMP = round(WINDOW_SECONDS / TIMESTAMP_STEP)
END = "<|endoftext|>"
SPECIAL = [
    END,
    "<|startoftranscript|>",
    "<|en|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
]
TIMESTAMPS = [f"<|{i * TIMESTAMP_STEP:.2f}|>" for i in range(LAST_TIMESTAMP + 1)]
_SPACE = "Ġ"  # how byte-level BPE writes the space before a word


def _learn_merges() -> list[tuple[str, str]]:
    """Merges the most frequent pair until every word, with its space, is one token."""
    words = {word: [_SPACE, *word] for word in grammar.vocabulary()}
    merges = []
    while any(len(parts) > 1 for parts in words.values()):
        pairs = Counter(pair for parts in words.values() for pair in zip(parts, parts[1:]))
        best, _ = max(pairs.items(), key=lambda item: (item[1], item[0]))
        merges.append(best)
        for word, parts in words.items():
            words[word] = _merged(parts, best)
    return merges


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    i = 0
    while i < len(parts):
        if tuple(parts[i : i + 2]) == pair:
            out.append(parts[i] + parts[i + 1])
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return out


class Tokens:
    """Ids of everything training needs to name."""

    def __init__(self) -> None:
        self.merges = _learn_merges()
        texts = list(dict.fromkeys([*sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in self.merges)]))
        self.texts = {text: i for i, text in enumerate(texts)}
        self.special = {name: len(texts) + i for i, name in enumerate(SPECIAL)}
        self.first_timestamp = len(texts) + len(SPECIAL)
        self.count = self.first_timestamp + len(TIMESTAMPS)
        self.end = self.special[END]
        self.start = self.special["<|startoftranscript|>"]
        self.english = self.special["<|en|>"]
        self.transcribe = self.special["<|transcribe|>"]
        self.no_speech = self.special["<|nospeech|>"]
        self.no_timestamps = self.special["<|notimestamps|>"]

    def words(self, text: str) -> list[int]:
        return [self.texts[_SPACE + word] for word in text.split()]


def write_tokenizer(folder: Path, tokens: Tokens) -> None:
    """tokenizer.json and its companions, as the hub's Whisper folders have them."""
    timestamps = {name: tokens.first_timestamp + i for i, name in enumerate(TIMESTAMPS)}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [{"id": i, "content": name, **plain, "special": True} for name, i in tokens.special.items()]
    added += [{"id": i, "content": name, **plain, "special": False} for name, i in timestamps.items()]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    framing = ["<|startoftranscript|>", "<|notimestamps|>", END]

    def template(*texts: tuple[str, int]) -> list[dict]:
        def special(name: str, kind: int) -> dict:
            return {"SpecialToken": {"id": name, "type_id": kind}}

        body = [{"Sequence": {"id": name, "type_id": kind}} for name, kind in texts]
        return [special(framing[0], 0), special(framing[1], 0), *body, special(END, texts[-1][1])]

    ends = {
        "bos_token": END,
        "eos_token": END,
        "pad_token": END,
        "unk_token": END,
        "additional_special_tokens": SPECIAL,
    }
    merges = [f"{a} {b}" for a, b in tokens.merges]
    files = {
        "tokenizer.json": {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": None,
            "pre_tokenizer": byte_level,
            "post_processor": {
                "type": "TemplateProcessing",
                "single": template(("A", 0)),
                "pair": template(("A", 0), ("B", 1)),
                "special_tokens": {n: {"id": n, "ids": [tokens.special[n]], "tokens": [n]} for n in framing},
            },
            "decoder": {**byte_level, "add_prefix_space": True},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": "",
                "end_of_word_suffix": "",
                "fuse_unk": False,
                "byte_fallback": False,
                "vocab": tokens.texts,
                "merges": merges,
            },
        },
        "tokenizer_config.json": {
            "tokenizer_class": "WhisperTokenizer",
            "processor_class": "WhisperProcessor",
            "model_max_length": 1024,
            **ends,
            "add_prefix_space": False,
            "add_bos_token": False,
            "errors": "replace",
            "return_attention_mask": False,
            "clean_up_tokenization_spaces": False,
            "added_tokens_decoder": {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in added},
        },
        "special_tokens_map.json": ends,
        "vocab.json": tokens.texts,
        "added_tokens.json": {**tokens.special, **timestamps},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
