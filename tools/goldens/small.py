"""Small models of random weights, as folders in the hub's layout."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import sentencepiece
import torch

# sentencepiece's protobuf classes come with it
from sentencepiece import sentencepiece_model_pb2 as protobuf
from tokenizers import Tokenizer, models

from .files import write_json
from .texts import texts


def train_pieces(size: int) -> tuple[list[tuple[str, float]], bytes]:
    """Unigram pieces with their scores, learnt from the test's texts, and the character map of XLM-R (nmt_nfkc)."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text.replace("\x00", " ") for text in texts() if 0 < len(text) < 400]),
        model_writer=written,
        vocab_size=size,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc",
        character_coverage=0.98,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    proto = protobuf.ModelProto.FromString(written.getvalue())
    learnt = [(piece.piece, piece.score) for piece in proto.pieces if piece.type == piece.NORMAL]
    return learnt, proto.normalizer_spec.precompiled_charsmap


def unigram(special: list[str], pieces: list[tuple[str, float]], unknown: str, last: list[str]) -> Tokenizer:
    vocab = [(token, 0.0) for token in special] + pieces + [(token, 0.0) for token in last]
    return Tokenizer(models.Unigram(vocab, special.index(unknown), False))


def new_folder(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    (path / "onnx").mkdir(parents=True)
    return path


def write_configs(folder: Path, tokenizer: Tokenizer, configs: dict[str, object]) -> None:
    """tokenizer.json is packed: the character map in it is a third of a megabyte."""
    write_json(folder / "tokenizer.json.gz", json.loads(tokenizer.to_str()))
    for name, value in configs.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(value, indent=2) + "\n")


class Named(torch.nn.Module):
    """A model that takes its inputs by position and gives one of its outputs, as the exporter wants it."""

    def __init__(self, model: torch.nn.Module, inputs: list[str], output: str) -> None:
        super().__init__()
        self.model, self.inputs, self.output = model, inputs, output

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        return getattr(self.model(**dict(zip(self.inputs, values, strict=True))), self.output)


def export(model: torch.nn.Module, file: Path, examples: dict[str, torch.Tensor], output: str, axes: list[str]) -> None:
    """Writes `file` with the names and the free sizes that the hub's exports have."""
    names = list(examples)
    free = dict(enumerate(axes))
    torch.onnx.export(
        Named(model, names, output).eval(),
        tuple(examples.values()),
        str(file),
        input_names=names,
        output_names=[output],
        dynamic_axes={
            **{name: free for name in names},
            output: {0: "batch_size"} if output != "last_hidden_state" else free,
        },
        opset_version=17,
        dynamo=False,
    )
