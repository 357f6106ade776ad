"""Writes a trained tiny CLIP as a folder in the hub's layout: ONNX towers and the configuration files beside them.

Weights are stored as 16-bit floats and cast back when the file is loaded, so arithmetic stays 32-bit; the `_quantized`
files store them as 8-bit integers with a scale per channel.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from .data import DEVIATION, MEAN
from .model import Clip
from .tokenizer import END, START, load_tokenizer
from .train import CHECKPOINT, load

_OPSET = 17
_SMALLEST_STORED = 256  # smaller weights stay as they are


def export(folder: Path) -> None:
    """Exports the checkpoint in `folder` into the same folder."""
    model, tokenizer = load(folder / CHECKPOINT), load_tokenizer(folder)
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    (folder / "onnx").mkdir(exist_ok=True)
    side = model.sizes.image
    towers = [
        (
            "vision_model",
            model.vision,
            torch.randn(2, 3, side, side),
            "pixel_values",
            {0: "batch_size"},
            "image_embeds",
        ),
        (
            "text_model",
            model.text,
            torch.full((2, 9), end),
            "input_ids",
            {0: "batch_size", 1: "sequence_length"},
            "text_embeds",
        ),
    ]
    for name, tower, example, input_name, axes, output_name in towers:
        with tempfile.TemporaryDirectory() as scratch:
            plain = Path(scratch) / "plain.onnx"
            torch.onnx.export(
                tower,
                (example,),
                str(plain),
                input_names=[input_name],
                output_names=[output_name],
                dynamic_axes={input_name: axes, output_name: {0: "batch_size"}},
                opset_version=_OPSET,
                dynamo=False,
            )
            store_as_float16(plain, folder / f"onnx/{name}.onnx")
            store_as_int8(plain, folder / f"onnx/{name}_quantized.onnx")
    _write_configs(folder, model, start, end)
    print({file.name: file.stat().st_size for file in sorted((folder / "onnx").iterdir())})


def store_as_float16(source: Path, target: Path) -> None:
    """Copies an ONNX file, its larger weights as 16-bit floats that are cast back on load."""

    def packed(name: str, values: np.ndarray):
        half = numpy_helper.from_array(values.astype(np.float16), f"{name}_half")
        return [half], helper.make_node("Cast", [half.name], [name], name=f"cast_{name}", to=TensorProto.FLOAT)

    _rewrite_weights(source, target, packed, fewest_axes=1)


def store_as_int8(source: Path, target: Path) -> None:
    """Copies an ONNX file, its larger matrices as 8-bit integers with one scale per output channel or table row."""

    def packed(name: str, values: np.ndarray):
        axis = 0 if values.ndim == 4 or "embedding" in name else values.ndim - 1
        others = tuple(i for i in range(values.ndim) if i != axis)
        scale = (np.abs(values).max(others) / 127 + 1e-12).astype(np.float32)
        along = [-1 if i == axis else 1 for i in range(values.ndim)]
        levels = np.clip(np.round(values / scale.reshape(along)), -127, 127).astype(np.int8)
        stored = [
            numpy_helper.from_array(array, f"{name}_{kind}")
            for kind, array in (("levels", levels), ("scale", scale), ("zero", np.zeros(len(scale), np.int8)))
        ]
        return stored, helper.make_node(
            "DequantizeLinear", [s.name for s in stored], [name], name=f"scale_{name}", axis=axis
        )

    _rewrite_weights(source, target, packed, fewest_axes=2)


def _rewrite_weights(source: Path, target: Path, packed, fewest_axes: int) -> None:
    """Replaces every large float weight by packed(name, values): what is stored, and the node that restores it."""
    model = onnx.load(source)
    graph, kept, stored, restoring = model.graph, [], [], []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < _SMALLEST_STORED or values.ndim < fewest_axes:
            kept.append(weight)
            continue
        tensors, node = packed(weight.name, values)
        stored += tensors
        restoring.append(node)
    nodes = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend([*kept, *stored])
    graph.node.extend([*restoring, *nodes])
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _write_configs(folder: Path, model: Clip, start: int, end: int) -> None:
    sizes = model.sizes
    shared = {
        "hidden_size": sizes.width,
        "intermediate_size": sizes.hidden,
        "num_attention_heads": sizes.heads,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-05,
        "attention_dropout": 0.0,
        "projection_dim": sizes.space,
    }
    text = {
        **shared,
        "model_type": "clip_text_model",
        "num_hidden_layers": sizes.text_layers,
        "vocab_size": sizes.vocabulary,
        "max_position_embeddings": sizes.text_length,
        "bos_token_id": start,
        "eos_token_id": end,
        "pad_token_id": end,
    }
    vision = {
        **shared,
        "model_type": "clip_vision_model",
        "num_hidden_layers": sizes.vision_layers,
        "image_size": sizes.image,
        "patch_size": sizes.patch,
        "num_channels": 3,
    }
    square = {"height": sizes.image, "width": sizes.image}
    files = {
        "config.json": {
            "architectures": ["CLIPModel"],
            "model_type": "clip",
            "projection_dim": sizes.space,
            "logit_scale_init_value": 2.6592,
            "logit_scale_trained": model.logit_scale.item(),
            "text_config": text,
            "vision_config": vision,
        },
        "preprocessor_config.json": {
            "image_processor_type": "CLIPImageProcessor",
            "feature_extractor_type": "CLIPFeatureExtractor",
            "do_convert_rgb": True,
            "do_resize": True,
            "size": {"shortest_edge": sizes.image},
            "resample": 3,
            "do_center_crop": True,
            "crop_size": square,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": MEAN,
            "image_std": DEVIATION,
        },
        "tokenizer_config.json": {
            "tokenizer_class": "CLIPTokenizer",
            "bos_token": START,
            "eos_token": END,
            "unk_token": END,
            "pad_token": END,
            "do_lower_case": True,
            "model_max_length": sizes.text_length,
            "add_prefix_space": False,
            "errors": "replace",
            "clean_up_tokenization_spaces": True,
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
