"""Writes a trained tiny Whisper as a folder in the hub's layout: two ONNX files and configs.

The merged decoder has Optimum's signature: one graph for the first step, one that reads the key-value cache, behind an
If on `use_cache_branch`; both share one copy of the weights. Weights are stored as 16-bit floats and cast back on
load.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from .features import FRAMES_PER_SECOND, HOP, MELS, SAMPLE_RATE, WINDOW
from .model import Whisper
from .tokenizer import LAST_TIMESTAMP, WINDOW_SECONDS, Tokens, write_tokenizer
from .train import CHECKPOINT, load_model

_OPSET, _IR_VERSION = 17, 8
_SMALLEST_STORED = 256


class _DecoderStep(nn.Module):
    """The decoder as the exported graphs run it: causal mask written out, keys and values among the outputs."""

    def __init__(self, model: Whisper, cached: bool) -> None:
        super().__init__()
        self.decoder, self.cached = model.decoder, cached
        self.table = nn.Parameter(model.token_table().detach().clone())

    def forward(self, input_ids: Tensor, *rest: Tensor):
        """`rest`: the encoder's output, or the cache: own keys and values, heard keys and values, a layer."""
        decoder, present = self.decoder, []
        before = rest[0].shape[2] if self.cached else 0
        places = torch.arange(input_ids.shape[1]) + before
        mask = torch.where(torch.arange(before + input_ids.shape[1])[None] <= places[:, None], 0.0, -1e9)
        x = self.table[input_ids] + decoder.embed_positions.weight[places]
        for i, layer in enumerate(decoder.layers):
            keys, values = layer.self_attn.keys_values(layer.self_attn_layer_norm(x))
            if self.cached:
                keys, values = torch.cat([rest[4 * i], keys], 2), torch.cat([rest[4 * i + 1], values], 2)
                heard = rest[4 * i + 2], rest[4 * i + 3]
            else:
                heard = layer.encoder_attn.keys_values(rest[0])
            x, _ = layer(x, (keys, values), heard, mask)
            present += [keys, values, *heard]
        return decoder.layer_norm(x) @ self.table.T, *present


def export(folder: Path) -> None:
    """Exports the checkpoint in `folder` into the same folder."""
    model, tokens = load_model(folder / CHECKPOINT), Tokens()
    (folder / "onnx").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        encoder = Path(scratch) / "encoder.onnx"
        torch.onnx.export(
            model.encoder,
            (torch.randn(2, MELS, WINDOW_SECONDS * FRAMES_PER_SECOND),),
            str(encoder),
            input_names=["input_features"],
            output_names=["last_hidden_state"],
            opset_version=_OPSET,
            dynamo=False,
            dynamic_axes={
                "input_features": {0: "batch_size", 2: "num_frames"},
                "last_hidden_state": {0: "batch_size", 1: "encoder_sequence_length"},
            },
        )
        store_as_float16(onnx.load(encoder), folder / "onnx/encoder_model.onnx")
        store_as_float16(_merged_decoder(model, Path(scratch)), folder / "onnx/decoder_model_merged.onnx")
    quantise_decoder(folder)
    write_tokenizer(folder, tokens)
    _write_configs(folder, model, tokens)
    print({file.name: file.stat().st_size for file in sorted((folder / "onnx").iterdir())})


def _cache_names(prefix: str, layers: int) -> list[str]:
    return [
        f"{prefix}.{i}.{kind}.{part}"
        for i in range(layers)
        for kind in ("decoder", "encoder")
        for part in ("key", "value")
    ]


def _merged_decoder(model: Whisper, scratch: Path) -> onnx.ModelProto:
    sizes = model.sizes
    heads, head_width, layers = sizes.heads, sizes.head_width, sizes.decoder_layers
    past, present = _cache_names("past_key_values", layers), _cache_names("present", layers)
    axes = {
        "input_ids": {0: "batch_size", 1: "decoder_sequence_length"},
        "encoder_hidden_states": {0: "batch_size", 1: "encoder_sequence_length"},
        "logits": {0: "batch_size", 1: "decoder_sequence_length"},
    }

    def length_name(name: str) -> str:
        if ".encoder." in name:
            return "encoder_sequence_length_out"
        return "past_decoder_sequence_length" if name.startswith("past") else "present_decoder_sequence_length"

    axes |= {name: {0: "batch_size", 2: length_name(name)} for name in (*past, *present)}
    settings = {
        "output_names": ["logits", *present],
        "opset_version": _OPSET,
        "dynamo": False,
        "do_constant_folding": False,
    }
    first, later = scratch / "first.onnx", scratch / "later.onnx"
    ids, encoded = torch.ones(2, 4, dtype=torch.long), torch.randn(2, sizes.source_positions, sizes.width)
    torch.onnx.export(
        _DecoderStep(model, cached=False),
        (ids, encoded),
        str(first),
        input_names=["input_ids", "encoder_hidden_states"],
        dynamic_axes={name: a for name, a in axes.items() if name not in past},
        **settings,
    )
    own, heard = torch.randn(2, heads, 5, head_width), torch.randn(2, heads, sizes.source_positions, head_width)
    torch.onnx.export(
        _DecoderStep(model, cached=True),
        (ids[:, :1], *[own, own, heard, heard] * layers),
        str(later),
        input_names=["input_ids", *past],
        dynamic_axes={name: a for name, a in axes.items() if name != "encoder_hidden_states"},
        **settings,
    )
    weights: dict[str, onnx.TensorProto] = {}
    without, with_cache = _branch(first, "first/", weights), _branch(later, "later/", weights)

    def value(name: str, shape: list, kind: int = TensorProto.FLOAT):
        return helper.make_tensor_value_info(name, kind, shape)

    inputs = [
        value("input_ids", ["batch_size", "decoder_sequence_length"], TensorProto.INT64),
        value("encoder_hidden_states", ["batch_size", "encoder_sequence_length", sizes.width]),
        *(value(name, ["batch_size", heads, length_name(name), head_width]) for name in past),
        value("use_cache_branch", [1], TensorProto.BOOL),
    ]
    outputs = [value("logits", ["batch_size", "decoder_sequence_length", sizes.vocabulary])]
    outputs += [value(name, ["batch_size", heads, length_name(name), head_width]) for name in present]
    choice = helper.make_node(
        "If",
        ["use_cache_branch"],
        [o.name for o in outputs],
        name="use_cache",
        then_branch=with_cache,
        else_branch=without,
    )
    graph = helper.make_graph([choice], "decoder", inputs, outputs, initializer=list(weights.values()))
    merged = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    merged.ir_version = _IR_VERSION
    return merged


def _branch(file: Path, prefix: str, weights: dict[str, onnx.TensorProto]) -> onnx.GraphProto:
    """A graph as a branch of an If: it reads the outer graph's inputs, and its weights move to the shared `weights`."""
    graph = onnx.load(file).graph
    names = {i.name: i.name for i in graph.input}
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        content = hashlib.sha256(values.tobytes() + f"{values.shape} {values.dtype}".encode()).hexdigest()
        if content not in weights:
            weights[content] = numpy_helper.from_array(values, f"weight_{len(weights)}")
        names[weight.name] = weights[content].name

    def renamed(name: str) -> str:
        return name and names.get(name, prefix + name)

    nodes = []
    for node in graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = prefix + node.name
        copy.input[:] = [renamed(name) for name in node.input]
        copy.output[:] = [renamed(name) for name in node.output]
        nodes.append(copy)
    made = {name for node in nodes for name in node.output}
    outputs = []
    for output in graph.output:
        copy = onnx.ValueInfoProto()
        copy.CopyFrom(output)
        copy.name = renamed(output.name)
        if copy.name not in made:  # a branch may not hand an outer value straight through
            source, copy.name = copy.name, f"{prefix}{output.name}_through"
            nodes.append(helper.make_node("Identity", [source], [copy.name], name=f"{copy.name}_identity"))
        outputs.append(copy)
    return helper.make_graph(nodes, prefix.strip("/"), [], outputs)


def store_as_float16(model: onnx.ModelProto, target: Path, smallest: int = _SMALLEST_STORED) -> None:
    """Writes a model with its larger weights as 16-bit floats that are cast back on load."""
    graph, stored, casts = model.graph, [], []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size > smallest:
            half = numpy_helper.from_array(values.astype(np.float16), f"{weight.name}_half")
            stored.append(half)
            casts.append(
                helper.make_node("Cast", [half.name], [weight.name], name=f"cast_{weight.name}", to=TensorProto.FLOAT)
            )
        else:
            stored.append(weight)
    nodes = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(stored)
    graph.node.extend([*casts, *nodes])
    onnx.checker.check_model(model)
    onnx.save(model, target)


def quantise_decoder(folder: Path) -> None:
    """Writes the decoder with 8-bit matrices beside the one in `folder`: `decoder_model_merged_quantized.onnx`.

    Weights are unsigned 8-bit integers (processors without VNNI clip sums of signed ones), one scale a column;
    activations are quantised as they come. The matrix that makes logits stays as it is: its rows are words and
    timestamps that lie close together.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(folder / "onnx/decoder_model_merged.onnx")
    logits = _plain_matrices(model)
    target = folder / "onnx/decoder_model_merged_quantized.onnx"
    with tempfile.TemporaryDirectory() as scratch:
        plain, small = Path(scratch) / "plain.onnx", Path(scratch) / "small.onnx"
        onnx.save(model, plain)
        quantize_dynamic(
            plain,
            small,
            per_channel=True,
            weight_type=QuantType.QUInt8,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=logits,
            extra_options={"EnableSubgraph": True, "MatMulConstBOnly": True},
        )
        store_as_float16(onnx.load(small), target, smallest=4096)
    print({target.name: target.stat().st_size})


def _plain_matrices(model: onnx.ModelProto) -> list[str]:
    """Undoes what hides weights from the quantiser: 16-bit storage, and a transposition in each branch.

    Gives the names of the nodes that make logits.
    """
    graph = model.graph
    weights = {w.name: numpy_helper.to_array(w) for w in graph.initializer}
    casts = [n for n in graph.node if n.op_type == "Cast" and n.input[0] in weights]
    for cast in casts:
        weights[cast.output[0]] = weights.pop(cast.input[0]).astype(np.float32)
        graph.node.remove(cast)
    vocabulary = max(weights, key=lambda name: weights[name].shape[0] if weights[name].ndim == 2 else 0)
    logits = []
    for branch in (a.g for node in graph.node if node.op_type == "If" for a in node.attribute):
        turned = {n.output[0]: n for n in branch.node if n.op_type == "Transpose" and n.input[0] in weights}
        for node in branch.node:
            source = turned.get(node.input[1]) if node.op_type == "MatMul" else None
            if source is None:
                continue
            name = source.input[0]
            if name == vocabulary:
                logits.append(node.name)
            else:
                weights.setdefault(f"{name}_turned", np.ascontiguousarray(weights[name].T))
                node.input[1] = f"{name}_turned"
        used = {name for node in branch.node for name in node.input}
        for output, node in turned.items():
            if output not in used:
                branch.node.remove(node)
    used = {name for a in (a for n in graph.node for a in n.attribute) for n in a.g.node for name in n.input}
    del graph.initializer[:]
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items() if name in used)
    return logits


def _write_configs(folder: Path, model: Whisper, tokens: Tokens) -> None:
    s, t = model.sizes, tokens
    ends = {"bos_token_id": t.end, "eos_token_id": t.end, "pad_token_id": t.end, "decoder_start_token_id": t.start}
    suppress = {"begin_suppress_tokens": [t.end], "suppress_tokens": []}
    files = {
        "config.json": {
            "architectures": ["WhisperForConditionalGeneration"],
            "model_type": "whisper",
            "is_encoder_decoder": True,
            "activation_function": "gelu",
            "d_model": s.width,
            "encoder_layers": s.encoder_layers,
            "decoder_layers": s.decoder_layers,
            "encoder_attention_heads": s.heads,
            "decoder_attention_heads": s.heads,
            "encoder_ffn_dim": s.hidden,
            "decoder_ffn_dim": s.hidden,
            "num_hidden_layers": s.encoder_layers,
            "num_mel_bins": s.mels,
            "max_source_positions": s.source_positions,
            "max_target_positions": s.target_positions,
            "vocab_size": s.vocabulary,
            "scale_embedding": False,
            "use_cache": True,
            "tie_word_embeddings": True,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "activation_dropout": 0.0,
            **ends,
            **suppress,
            "forced_decoder_ids": [[1, t.english], [2, t.transcribe], [3, t.no_timestamps]],
        },
        "generation_config.json": {
            "alignment_heads": [
                [layer, head] for layer in (s.decoder_layers - 2, s.decoder_layers - 1) for head in (0, 1)
            ],
            **ends,
            **suppress,
            "is_multilingual": True,
            "lang_to_id": {"<|en|>": t.english},
            "task_to_id": {"transcribe": t.transcribe, "translate": t.special["<|translate|>"]},
            "max_initial_timestamp_index": LAST_TIMESTAMP,
            "max_length": s.target_positions,
            "no_timestamps_token_id": t.no_timestamps,
            "prev_sot_token_id": t.special["<|startofprev|>"],
            "return_timestamps": False,
            "forced_decoder_ids": [[1, None], [2, t.transcribe]],
        },
        "preprocessor_config.json": {
            "chunk_length": WINDOW_SECONDS,
            "feature_extractor_type": "WhisperFeatureExtractor",
            "feature_size": s.mels,
            "hop_length": HOP,
            "n_fft": WINDOW,
            "n_samples": WINDOW_SECONDS * SAMPLE_RATE,
            "nb_max_frames": WINDOW_SECONDS * FRAMES_PER_SECOND,
            "padding_side": "right",
            "padding_value": 0.0,
            "processor_class": "WhisperProcessor",
            "return_attention_mask": False,
            "sampling_rate": SAMPLE_RATE,
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
