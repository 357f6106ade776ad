"""CLIP's tokens (the bundled tiny one's and OpenAI's vocabulary) and the tiny CLIP's embeddings in PyTorch."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from tokenizers import Tokenizer, pre_tokenizers
from transformers import CLIPConfig, CLIPModel

from .files import write_json
from .texts import texts

TINY = Path("models/tiny/clip")
CONTEXT = 77
START, END = "<|startoftext|>", "<|endoftext|>"


def make(folder: Path) -> None:
    strings = texts()
    write_json(folder / "texts.json.gz", strings)
    description = json.loads((TINY / "tokenizer.json").read_text())
    tokenizers = {"tiny": description, "openai": with_openai_vocabulary(description, folder)}
    ids = {name: token_ids(tokenizer, strings, CONTEXT) for name, tokenizer in tokenizers.items()}
    write_json(folder / "clip-tokens.json.gz", ids)
    model = load_tiny()
    chosen = range(0, len(strings), 10)
    with torch.no_grad():
        embeds = [model.get_text_features(torch.tensor([ids["tiny"][i]])).pooler_output[0] for i in chosen]
    write_json(folder / "clip-embeds.json.gz", {i: rounded(unit(x)) for i, x in zip(chosen, embeds, strict=True)})


def token_ids(description: dict, strings: list[str], longest: int) -> list[list[int]]:
    """What the reference tokeniser (Rust) makes of each text, special tokens included, cut to `longest` tokens."""
    tokenizer = Tokenizer.from_str(json.dumps(description))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    return [tokenizer.encode(text).ids for text in strings]


def unit(vector: torch.Tensor) -> torch.Tensor:
    return vector / vector.norm()


def rounded(vector: torch.Tensor) -> list[float]:
    return [round(float(x), 6) for x in vector]


def with_openai_vocabulary(description: dict, folder: Path) -> dict:
    """The tokenizer.json of OpenAI's CLIPs: the tiny one's with another vocabulary.

    clip-merges.txt.gz holds the merges that openai/CLIP and open_clip ship as bpe_simple_vocab_16e6.txt.gz (both MIT),
    without its first line and the lines that CLIP ignores.
    """
    merges = gzip.decompress((folder / "clip-merges.txt.gz").read_bytes()).decode().splitlines()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(x + "</w>" for x in letters), *(pair.replace(" ", "") for pair in merges), START, END]
    vocab = {token: i for i, token in enumerate(tokens)}
    assert len(vocab) == 49408
    return {
        **description,
        "added_tokens": [{**token, "id": vocab[token["content"]]} for token in description["added_tokens"]],
        "post_processor": {**description["post_processor"], "sep": [END, vocab[END]], "cls": [START, vocab[START]]},
        "model": {**description["model"], "vocab": vocab, "merges": merges},
    }


def load_tiny() -> CLIPModel:
    """The weights of models/tiny/clip/onnx in transformers' CLIPModel."""
    config = CLIPConfig.from_pretrained(TINY)
    model = CLIPModel(config).eval()
    state = {}
    for tower, prefix in (("text", "text_model"), ("vision", "vision_model")):
        state |= {
            name if name.endswith("projection.weight") else f"{prefix}.{name}": value
            for name, value in tower_weights(tower).items()
        }
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected, unexpected
    assert set(missing) <= {
        "logit_scale",
        "text_model.embeddings.position_ids",
        "vision_model.embeddings.position_ids",
    }, missing
    return model


def tower_weights(tower: str) -> dict[str, torch.Tensor]:
    """tools.tiny_clip exports fused attention weights and nameless matrices, in the order of the layers."""
    graph = onnx.load(TINY / f"onnx/{tower}_model.onnx").graph
    found = {x.name: torch.from_numpy(numpy_helper.to_array(x).astype(np.float32)) for x in graph.initializer}
    named = {name.removesuffix("_half").removesuffix("_h").removeprefix("m."): value for name, value in found.items()}
    matrices = [value.T for name, value in named.items() if name.startswith("onnx::MatMul")]
    layers = sum(name.endswith("layer_norm1.weight") for name in named)
    assert len(matrices) == 4 * layers + 1
    state = {f"{'visual' if tower == 'vision' else 'text'}_projection.weight": matrices[-1]}
    for i in range(layers):
        to, source = f"encoder.layers.{i}", f"layers.{i}"
        qkv, out, fc1, fc2 = matrices[4 * i : 4 * i + 4]
        for name, weight, bias in zip(("q", "k", "v"), qkv.chunk(3), named[f"{source}.qkv.bias"].chunk(3), strict=True):
            state |= {f"{to}.self_attn.{name}_proj.weight": weight, f"{to}.self_attn.{name}_proj.bias": bias}
        state |= {
            f"{to}.self_attn.out_proj.weight": out,
            f"{to}.self_attn.out_proj.bias": named[f"{source}.out_proj.bias"],
            f"{to}.mlp.fc1.weight": fc1,
            f"{to}.mlp.fc1.bias": named[f"{source}.fc1.bias"],
            f"{to}.mlp.fc2.weight": fc2,
            f"{to}.mlp.fc2.bias": named[f"{source}.fc2.bias"],
        }
        for norm in ("layer_norm1", "layer_norm2"):
            state |= {f"{to}.{norm}.{kind}": named[f"{source}.{norm}.{kind}"] for kind in ("weight", "bias")}
    if tower == "text":
        state["embeddings.token_embedding.weight"] = named["token_embedding.weight"]
        norms = ["final_layer_norm"]
    else:
        state["embeddings.patch_embedding.weight"] = named["patch_embedding.weight"]
        state["embeddings.class_embedding"] = next(v for name, v in named.items() if name.startswith("onnx::Expand"))
        norms = ["pre_layrnorm", "post_layernorm"]
    state["embeddings.position_embedding.weight"] = named["position_embedding"]
    return state | {f"{norm}.{kind}": named[f"{norm}.{kind}"] for norm in norms for kind in ("weight", "bias")}
