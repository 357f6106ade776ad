"""whisper-base with random weights, but for the decoder's positions, which make it write the same tokens for any sound.

A transcript of a fixed number of tokens is what a comparison of speeds needs: random weights alone stop at once or
never, and guards against loops and doubt would cut them short. Each position points so strongly at the token that is to
come next that nothing else in the sum matters; the arithmetic done is that of any whisper-base.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from optimum.exporters.onnx import onnx_export_from_model
from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.models.whisper.configuration_whisper import NON_SPEECH_TOKENS_MULTI
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from .files import LETTERS, quantise, words, write_json

# Ids of the multilingual vocabulary (openai/whisper, tokenizer.py).
_TEXT_TOKENS = 50257
_SPECIAL = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{language}|>" for language in list(LANGUAGES)[:99]),
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
]
_IDS = {name: _TEXT_TOKENS + i for i, name in enumerate(_SPECIAL)}
_FIRST_TIMESTAMP = _TEXT_TOKENS + len(_SPECIAL)
_TIMESTAMPS = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
_END_SECONDS = 30  # past the end of every window: nothing of it is left to decode
_SPACE = "Ġ"  # how byte-level BPE writes the space before a word
_POINTING = 40.0  # length of a position over that of a token; attention and the layers add up to a fifth of it


def make(folder: Path, text_tokens: int) -> None:
    base = {"encoder_layers": 6, "decoder_layers": 6, "d_model": 512, "vocab_size": _FIRST_TIMESTAMP + 1501}
    heads = {"encoder_attention_heads": 8, "decoder_attention_heads": 8}
    widths = {"encoder_ffn_dim": 2048, "decoder_ffn_dim": 2048}
    end, start = _IDS["<|endoftext|>"], _IDS["<|startoftranscript|>"]
    ends = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "decoder_start_token_id": start}
    suppress = {"suppress_tokens": NON_SPEECH_TOKENS_MULTI, "begin_suppress_tokens": [220, end]}
    config = WhisperConfig(**base, **heads, **widths, **ends)
    generation = GenerationConfig(
        **ends,
        **suppress,
        is_multilingual=True,
        lang_to_id={f"<|{language}|>": _IDS[f"<|{language}|>"] for language in list(LANGUAGES)[:99]},
        task_to_id={"transcribe": _IDS["<|transcribe|>"], "translate": _IDS["<|translate|>"]},
        no_timestamps_token_id=_IDS["<|notimestamps|>"],
        prev_sot_token_id=_IDS["<|startofprev|>"],
        max_initial_timestamp_index=50,
        max_length=448,
        return_timestamps=False,
    )
    model = WhisperForConditionalGeneration(config).eval()
    _point_at(model, _transcript(text_tokens))
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        task = "automatic-speech-recognition-with-past"
        onnx_export_from_model(model, scratch, task=task, opset=17, do_validation=False)
        for name in ("encoder_model", "decoder_model_merged"):
            shutil.move(Path(scratch) / f"{name}.onnx", folder / f"onnx/{name}.onnx")
            quantise(folder / f"onnx/{name}.onnx")
    _write_files(folder, {**config.to_dict(), "architectures": ["WhisperForConditionalGeneration"]}, generation)


def _transcript(text_tokens: int) -> list[int]:
    """English, opened and closed by a timestamp; every word another one, none suppressed."""
    suppressed = {*NON_SPEECH_TOKENS_MULTI, 220}
    text = [i for i in range(1000, _TEXT_TOKENS, 97) if i not in suppressed][:text_tokens]
    opening = [_IDS[name] for name in ("<|startoftranscript|>", "<|en|>", "<|transcribe|>")]
    return [*opening, _FIRST_TIMESTAMP, *text, _FIRST_TIMESTAMP + _END_SECONDS * 50, _IDS["<|endoftext|>"]]


def _point_at(model: WhisperForConditionalGeneration, tokens: list[int]) -> None:
    decoder = model.model.decoder
    table, positions = decoder.embed_tokens.weight, decoder.embed_positions.weight
    table.normal_(0, 0.05)
    for place in range(len(positions)):
        positions[place] = table[tokens[min(place + 1, len(tokens) - 1)]] * _POINTING


def _write_files(folder: Path, config: dict, generation: GenerationConfig) -> None:
    texts = [*LETTERS, *(_SPACE + word for word in words())][:_TEXT_TOKENS]
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": i, "content": name, **special} for name, i in _IDS.items()]
    added += [
        {"id": _FIRST_TIMESTAMP + i, "content": name, **special, "special": False} for i, name in enumerate(_TIMESTAMPS)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "vocab": {text: i for i, text in enumerate(texts)},
            "merges": [],
        },
    }
    end = "<|endoftext|>"
    write_json(
        folder,
        {
            "config.json": config,
            "generation_config.json": generation.to_dict(),
            "preprocessor_config.json": WhisperFeatureExtractor().to_dict() | {"processor_class": "WhisperProcessor"},
            "tokenizer.json": tokenizer,
            "tokenizer_config.json": {
                "tokenizer_class": "WhisperTokenizer",
                "model_max_length": 1024,
                **{f"{name}_token": end for name in ("bos", "eos", "pad", "unk")},
            },
        },
    )
