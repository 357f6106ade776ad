"""multilingual-e5-small with random weights: the passage encoder of the `base` and `large` profiles."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from .files import LETTERS, words, write_json

# Sizes of intfloat/multilingual-e5-small's config.json.
_VOCABULARY, _WIDTH, _LAYERS, _HEADS, _INNER, _LONGEST = 250037, 384, 12, 12, 1536, 512
_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
_SPACE = "▁"
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class _States(nn.Module):
    def __init__(self, model: BertModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        return self.model(input_ids, attention_mask, token_type_ids).last_hidden_state


def make(folder: Path) -> None:
    _write_files(folder)
    (folder / "onnx").mkdir(exist_ok=True)
    config = BertConfig(
        vocab_size=_VOCABULARY,
        hidden_size=_WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        intermediate_size=_INNER,
        max_position_embeddings=_LONGEST,
        pad_token_id=1,
    )
    config._attn_implementation = "eager"
    axes = {0: "batch_size", 1: "sequence_length"}
    torch.onnx.export(
        _States(BertModel(config, add_pooling_layer=False).eval()),
        tuple(torch.ones(2, 16, dtype=torch.long) for _ in _INPUTS),
        str(folder / "onnx/model.onnx"),
        input_names=list(_INPUTS),
        output_names=["last_hidden_state"],
        dynamic_axes={name: axes for name in (*_INPUTS, "last_hidden_state")},
        opset_version=17,
        dynamo=False,
    )


def _write_files(folder: Path) -> None:
    pieces = [_SPACE, *LETTERS, *(_SPACE + word for word in words())][: _VOCABULARY - len(_SPECIAL)]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    write_json(
        folder,
        {
            "config.json": {
                "model_type": "bert",
                "hidden_size": _WIDTH,
                "vocab_size": _VOCABULARY,
                "max_position_embeddings": _LONGEST,
                "pad_token_id": 1,
            },
            "tokenizer.json": {
                "version": "1.0",
                "truncation": None,
                "padding": None,
                "added_tokens": [{"id": i, "content": token, **flags} for i, token in enumerate(_SPECIAL)],
                "normalizer": None,
                "pre_tokenizer": {
                    "type": "Sequence",
                    "pretokenizers": [
                        {"type": "WhitespaceSplit"},
                        {"type": "Metaspace", "replacement": _SPACE, "prepend_scheme": "always", "split": True},
                    ],
                },
                "post_processor": {
                    "type": "TemplateProcessing",
                    "single": [
                        {"SpecialToken": {"id": "<s>", "type_id": 0}},
                        {"Sequence": {"id": "A", "type_id": 0}},
                        {"SpecialToken": {"id": "</s>", "type_id": 0}},
                    ],
                    "pair": [
                        {"SpecialToken": {"id": "<s>", "type_id": 0}},
                        {"Sequence": {"id": "A", "type_id": 0}},
                        {"SpecialToken": {"id": "</s>", "type_id": 0}},
                        {"Sequence": {"id": "B", "type_id": 0}},
                        {"SpecialToken": {"id": "</s>", "type_id": 0}},
                    ],
                    "special_tokens": {
                        token: {"id": token, "ids": [_SPECIAL.index(token)], "tokens": [token]} for token in ("<s>", "</s>")
                    },
                },
                "decoder": {"type": "Metaspace", "replacement": _SPACE, "prepend_scheme": "always", "split": True},
                "model": {
                    "type": "Unigram",
                    "unk_id": _SPECIAL.index("<unk>"),
                    # Longer pieces win: a word is one token, as common words of the real vocabulary are.
                    "vocab": [[token, 0.0] for token in _SPECIAL] + [[piece, -10.0] for piece in pieces],
                },
            },
            "tokenizer_config.json": {
                "tokenizer_class": "XLMRobertaTokenizer",
                "model_max_length": _LONGEST,
                "pad_token": "<pad>",
            },
        },
    )
