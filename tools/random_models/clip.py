"""CLIP ViT-B/32 with random weights, exported as the hub's two towers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPImageProcessor, CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from .files import LETTERS, PAIRS, SYLLABLES, quantise, words, write_json

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"  # CLIP's own pattern


class _Tower(nn.Module):
    def __init__(self, model: nn.Module, output: str) -> None:
        super().__init__()
        self.model, self.output = model, output

    def forward(self, tensor: Tensor) -> Tensor:
        return self.model(tensor)[self.output]


def make(folder: Path) -> None:
    config = CLIPConfig()  # its defaults are those of openai/clip-vit-base-patch32
    config._attn_implementation = "eager"
    size, longest = config.vision_config.image_size, config.text_config.max_position_embeddings
    _write_files(folder, config)
    (folder / "onnx").mkdir(exist_ok=True)
    towers = [
        ("vision_model", CLIPVisionModelWithProjection, config.vision_config, "pixel_values", "image_embeds"),
        ("text_model", CLIPTextModelWithProjection, config.text_config, "input_ids", "text_embeds"),
    ]
    for name, kind, part, input_name, output_name in towers:
        part.projection_dim = config.projection_dim
        model = kind._from_config(part, attn_implementation="eager").eval()
        ids = torch.full((2, longest), part.eos_token_id) if name == "text_model" else None
        axes = {0: "batch_size"} if ids is None else {0: "batch_size", 1: "sequence_length"}
        target = folder / f"onnx/{name}.onnx"
        torch.onnx.export(
            _Tower(model, output_name),
            (torch.randn(2, 3, size, size) if ids is None else ids,),
            str(target),
            input_names=[input_name],
            output_names=[output_name],
            dynamic_axes={input_name: axes, output_name: {0: "batch_size"}},
            opset_version=17,
            dynamo=False,
        )
        quantise(target)


def _write_files(folder: Path, config: CLIPConfig) -> None:
    count = config.text_config.vocab_size
    plain = [*LETTERS, *(letter + WORD_END for letter in LETTERS)]
    parts = [*SYLLABLES, *(syllable + WORD_END for syllable in SYLLABLES), *PAIRS]
    whole = [word + WORD_END for word in words()][: count - 2 - len(plain) - len(parts)]
    tokens = [*plain, *parts, *whole, START, END]
    ids = {token: i for i, token in enumerate(tokens)}
    config.text_config.bos_token_id, config.text_config.eos_token_id = ids[START], ids[END]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    space = {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}
    split = {"type": "Split", "pattern": {"Regex": _PIECES}, "behavior": "Removed", "invert": True}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": ids[token], "content": token, **flags} for token in (START, END)],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, space, {"type": "Lowercase"}]},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [split, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}],
        },
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [END, ids[END]],
            "cls": [START, ids[START]],
            "trim_offsets": False,
            "add_prefix_space": False,
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": END,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": WORD_END,
            "fuse_unk": False,
            "vocab": ids,
            # Letters to syllables to pairs to words, so that a word is one token, as common words of the real vocabulary are.
            "merges": [
                *([first, last + end] for first, last in SYLLABLES for end in ("", WORD_END)),
                *([pair[:2], pair[2:] + end] for pair in PAIRS for end in ("", WORD_END)),
                *([word[:4], word[4:]] for word in whole if len(word) > 4 + len(WORD_END)),
            ],
        },
    }
    ends = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    length = config.text_config.max_position_embeddings
    write_json(
        folder,
        {
            "config.json": {**config.to_dict(), "architectures": ["CLIPModel"]},
            "preprocessor_config.json": CLIPImageProcessor().to_dict(),
            "tokenizer.json": tokenizer,
            "tokenizer_config.json": {"tokenizer_class": "CLIPTokenizer", "model_max_length": length, **ends},
        },
    )
