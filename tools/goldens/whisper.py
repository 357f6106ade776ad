"""Whisper: what transformers' feature extractor and `generate` make of 30 clips, and Silero's probabilities.

Two models speak: the tiny one of this repository, its weights read out of its ONNX files into PyTorch, and a random one
of other sizes (10 s windows, 128 mel bins, three languages), which is made here, exported and kept with the goldens.
Half of the clips are cut from the sample video, half are sums of sines and noise that the test makes again.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from ..tiny_whisper.export import _merged_decoder, store_as_float16
from ..tiny_whisper.model import Sizes, Whisper

RATE = 16_000
TINY = Path("models/tiny/whisper")
SAMPLE = Path("test/fixtures/sample/sample.mp4")
SILERO = Path("../shared/models/silero-vad/silero_vad.onnx")

# Seconds of the sample video, and sums of sines: hertz, hertz a second, amplitude, swells a second; then noise.
CUTS = [(3 + 11.7 * i, min(175, 3 + 11.7 * i + 4 + 1.7 * (i % 7))) for i in range(15)]
FORMULAS = [
    {
        "seconds": 2 + i % 7,
        "sines": [[90.0 * (i + 1), 40.0 * (i % 5), 0.3, 0.7 * i], [310.0 + 97 * i, -15.0 * i, 0.1, 4.0]],
        "noise": [0.0, 0.001, 0.02, 0.1][i % 4],
        "seed": 17 * i + 1,
    }
    for i in range(14)
] + [{"seconds": 9, "sines": [], "noise": 0.0, "seed": 1}]


def make(folder: Path) -> None:
    random = folder / "whisper-random"
    random_model, tiny_model = _load(random, _make_random(random)), _load(TINY, _tiny_weights())
    sample = _decode(SAMPLE)
    clips = [{"cut": cut} for cut in CUTS] + [{"formula": formula} for formula in FORMULAS]
    for clip in clips:
        pcm = sample[round(clip["cut"][0] * RATE) : round(clip["cut"][1] * RATE)] if "cut" in clip else _sound(clip)
        clip["tiny"] = _generate(tiny_model, TINY, pcm, language="en", task="transcribe", max_new_tokens=224)
        clip["random"] = _generate(random_model, random, pcm, language="de", task="translate", max_new_tokens=32)
        clip["language"] = _language(random_model, random, pcm)
    (folder / "whisper-tokens.json").write_text(_lines(clips))
    (folder / "whisper-mel.json").write_text(json.dumps({str(bins): _mel(bins) for bins in (80, 128)}) + "\n")
    if SILERO.exists():
        _silero(folder / "silero.json")


def _lines(items: list) -> str:
    return "[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]\n"


def _decode(file: Path) -> np.ndarray:
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-ar", str(RATE), "-ac", "1", "-f", "f32le", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.float32)


def _sound(clip: dict) -> np.ndarray:
    """The same formula is in test/models/golden-audio.ts."""
    formula = clip["formula"]
    t = np.arange(formula["seconds"] * RATE) / RATE
    sound = np.zeros(len(t))
    for hertz, glide, amplitude, swells in formula["sines"]:
        swell = np.sin(np.pi * swells * t) ** 2 if swells else 1.0
        sound += amplitude * swell * np.sin(2 * np.pi * (hertz * t + glide * t * t / 2))
    state, noise = formula["seed"], np.empty(len(t))
    for i in range(len(t)):
        state = (state * 1_664_525 + 1_013_904_223) % 2**32
        noise[i] = (state - 2**32 if state >= 2**31 else state) / 2**31
    return (sound + formula["noise"] * noise).astype(np.float32)


def _features(model_folder: Path, pcm: np.ndarray) -> torch.Tensor:
    extractor = WhisperFeatureExtractor.from_pretrained(model_folder)
    return extractor(pcm, sampling_rate=RATE, return_tensors="pt").input_features


@torch.no_grad()
def _generate(model: WhisperForConditionalGeneration, folder: Path, pcm: np.ndarray, **options) -> dict:
    """Greedy with timestamps, one window: tokens, their mean log-probability and the probability of no speech."""
    features, generation = _features(folder, pcm), model.generation_config
    out = model.generate(
        features,
        return_timestamps=True,
        do_sample=False,
        num_beams=1,
        force_unique_generate_call=True,
        return_dict_in_generate=True,
        output_scores=True,
        **options,
    )
    tokens = out.sequences[0, -len(out.scores) :]
    chosen = [score[0].log_softmax(-1)[token].item() for score, token in zip(out.scores, tokens)]
    tops = torch.stack([score[0].topk(2).values for score in out.scores])
    start = torch.tensor([[generation.decoder_start_token_id]])
    first = model(features, decoder_input_ids=start).logits[0, 0].softmax(-1)
    tokens = [token for token in tokens.tolist() if token != generation.eos_token_id]
    return {
        "tokens": tokens,
        "avgLogprob": round(sum(chosen) / len(chosen), 5),
        "noSpeech": round(first[generation.no_timestamps_token_id - 1].item(), 6),
        "nearest": round((tops[:, 0] - tops[:, 1]).min().item(), 5),
    }


@torch.no_grad()
def _language(model: WhisperForConditionalGeneration, folder: Path, pcm: np.ndarray) -> str:
    token = model.detect_language(_features(folder, pcm), generation_config=model.generation_config)[0].item()
    return next(name[2:-2] for name, id in model.generation_config.lang_to_id.items() if id == token)


def _load(folder: Path, weights: dict[str, torch.Tensor]) -> WhisperForConditionalGeneration:
    config = WhisperConfig(**json.loads((folder / "config.json").read_text()))
    model = WhisperForConditionalGeneration(config).eval()
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) <= {"proj_out.weight"}, (missing, unexpected)
    model.tie_weights()
    generation = json.loads((folder / "generation_config.json").read_text())
    generation.pop("forced_decoder_ids", None)
    model.generation_config = GenerationConfig(**generation)
    return model


def _tiny_weights() -> dict[str, torch.Tensor]:
    """The weights inside the tiny model's ONNX files by their names in transformers."""
    weights = {}
    encoder = onnx.load(TINY / "onnx/encoder_model.onnx").graph
    values = {w.name.removesuffix("_h"): numpy_helper.to_array(w).astype(np.float32) for w in encoder.initializer}
    for name, value in values.items():
        if name.startswith("e."):
            weights[f"model.encoder.{name[2:]}"] = value
    for node in encoder.node:  # a matrix without a name of its own is told by the node that uses it
        if node.op_type == "MatMul" and node.input[1] in values:
            layer, part = [
                p for p in node.name.split("/") if p.startswith("layers.") or p.endswith(("_proj", "1", "2"))
            ][:2]
            part = f"self_attn.{part}" if part.endswith("_proj") else part
            weights[f"model.encoder.{layer}.{part}.weight"] = values[node.input[1]].T
    for w in onnx.load(TINY / "onnx/decoder_model_merged.onnx").graph.initializer:
        name = w.name.removesuffix("_h").split("_", 1)[1]
        name = "embed_tokens.weight" if name == "E" else name.removeprefix("d.")
        weights[f"model.decoder.{name}"] = numpy_helper.to_array(w).astype(np.float32)
    return {name: torch.tensor(value.copy()) for name, value in weights.items()}


class _Plain(Whisper):
    """The network of tools/tiny_whisper with an embedding a token, as transformers has it."""

    def token_table(self) -> torch.Tensor:
        return self.decoder.embed_tokens.weight


def _make_random(folder: Path) -> dict[str, torch.Tensor]:
    """Writes a Whisper with random weights, loud enough to say different things; gives them back."""
    texts, seconds = 60, 10
    names = "endoftext startoftranscript en de fr translate transcribe startoflm startofprev nospeech notimestamps"
    special = {f"<|{name}|>": texts + i for i, name in enumerate(names.split())}
    end, start, last = special["<|endoftext|>"], special["<|startoftranscript|>"], special["<|notimestamps|>"]
    never = [special[f"<|{name}|>"] for name in "startoftranscript translate transcribe startoflm startofprev".split()]
    ends = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "decoder_start_token_id": start}
    suppress = {"suppress_tokens": [3, 7, *never, last - 1], "begin_suppress_tokens": [5, end]}
    sizes = Sizes(
        vocabulary=last + 1 + seconds * 50 + 1,
        first_timestamp=last + 1,
        phonemes=2,
        width=64,
        heads=2,
        encoder_layers=2,
        decoder_layers=2,
        hidden=64,
        mels=128,
        source_positions=seconds * 50,
        target_positions=64,
    )
    config = WhisperConfig(
        vocab_size=sizes.vocabulary,
        d_model=64,
        num_mel_bins=128,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_source_positions=sizes.source_positions,
        max_target_positions=sizes.target_positions,
        init_std=0.15,
        **ends,
    )
    torch.manual_seed(4)
    model = WhisperForConditionalGeneration(config).eval()
    model.model.decoder.embed_positions.weight.data.normal_(0, 0.6)
    state = {name: value.half().float() for name, value in model.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    generation = {
        **ends,
        **suppress,
        "is_multilingual": True,
        "lang_to_id": {f"<|{language}|>": special[f"<|{language}|>"] for language in ("en", "de", "fr")},
        "task_to_id": {"transcribe": special["<|transcribe|>"], "translate": special["<|translate|>"]},
        "max_initial_timestamp_index": 50,
        "max_length": sizes.target_positions,
        "no_timestamps_token_id": last,
        "prev_sot_token_id": special["<|startofprev|>"],
        "return_timestamps": False,
    }
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    bpe = {"type": "BPE", "vocab": {f"Ġw{i}": i for i in range(texts)}, "merges": []}
    files = {
        "config.json": config.to_dict(),
        "generation_config.json": generation,
        "preprocessor_config.json": WhisperFeatureExtractor(feature_size=128, chunk_length=seconds).to_dict(),
        "tokenizer.json": {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "normalizer": None,
            "post_processor": None,
            "added_tokens": [{"id": i, "content": name, **flags} for name, i in special.items()],
            "pre_tokenizer": byte_level,
            "decoder": byte_level,
            "model": bpe,
        },
        "tokenizer_config.json": {"tokenizer_class": "WhisperTokenizer"},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    plain = _Plain(sizes).eval()
    own = {name.removeprefix("model."): value for name, value in state.items() if name != "proj_out.weight"}
    plain.load_state_dict(own, strict=False)
    (folder / "onnx").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        encoder = Path(scratch) / "encoder.onnx"
        torch.onnx.export(
            plain.encoder,
            (torch.randn(2, 128, seconds * 100),),
            str(encoder),
            input_names=["input_features"],
            output_names=["last_hidden_state"],
            opset_version=17,
            dynamo=False,
            dynamic_axes={"input_features": {0: "batch_size"}, "last_hidden_state": {0: "batch_size"}},
        )
        store_as_float16(onnx.load(encoder), folder / "onnx/encoder_model.onnx")
        store_as_float16(_merged_decoder(plain, Path(scratch)), folder / "onnx/decoder_model_merged.onnx")
    return state


def _mel(bins: int) -> dict:
    """Some frames of a signal's features; it lasts longer for one frame than it sounds."""
    extractor = WhisperFeatureExtractor(feature_size=bins)
    pcm = _sound({"formula": FORMULAS[6]})
    features = extractor(pcm, sampling_rate=RATE, return_tensors="np").input_features[0]
    last = len(pcm) // 160
    frames = [0, 1, 2, 57, 100, 199, 200, last - 2, last - 1, last, last + 1, last + 2, 1500, 2998, 2999]
    return {
        "formula": FORMULAS[6],
        "frames": {str(frame): [round(float(x), 6) for x in features[:, frame]] for frame in frames},
    }


def _silero(target: Path) -> None:
    """Probabilities of each 512 samples of the sample's first minute and of two formulas, and the spans of speech."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(SILERO))
    sounds = {"sample": _decode(SAMPLE)[: 60 * RATE]}
    jfk = Path("../shared/media/jfk.flac")
    if jfk.exists():
        sounds["jfk"] = _decode(jfk)
    out = {}
    for name, pcm in sounds.items():
        state, context, found = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32), []
        for at in range(0, len(pcm), 512):
            chunk = np.pad(pcm[at : at + 512], (0, max(0, at + 512 - len(pcm))))
            feeds = {"input": np.concatenate([context, chunk])[None], "state": state, "sr": np.array(RATE)}
            probability, state = session.run(None, feeds)
            context = chunk[-64:]
            found.append(round(float(probability[0, 0]), 5))
        out[name] = {"probabilities": found, "speech": _speech(found, len(pcm))}
    target.write_text(json.dumps(out) + "\n")


def _speech(probabilities: list[float], samples: int) -> list[tuple[int, int]]:
    """Silero's get_speech_timestamps with its default thresholds and no padding, in samples."""
    spans, start, end = [], None, 0
    for i, probability in enumerate(probabilities):
        at = 512 * i
        if probability >= 0.5:
            end = 0
            start = at if start is None else start
        elif probability < 0.35 and start is not None:
            end = end or at
            if at - end >= RATE // 10:
                if end - start > RATE // 4:
                    spans.append((start, end))
                start, end = None, 0
    if start is not None and samples - start > RATE // 4:
        spans.append((start, samples))
    return spans
