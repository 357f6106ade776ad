"""Runs an exported Whisper folder in onnxruntime: greedy decoding under Whisper's timestamp rules.

Needs numpy, onnxruntime and tokenizers only; the tools that check the sample video use it too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from .features import FRAMES_PER_SECOND, log_mel

_NEVER = -1e9


@dataclass
class Segment:
    """A stretch of speech; seconds from the window's start, None where the window cuts it."""

    start: float | None
    end: float | None
    text: str


class TimestampRules:
    """Which tokens may come next (the rules of Whisper's own decoder, Radford et al. 2022, section 4.5).

    Timestamps come in pairs except before the end, never go back, and win when together they outweigh every word.
    """

    def __init__(self, first_special: int, end_of_text: int, first_timestamp: int) -> None:
        self.first_special, self.end_of_text, self.first_timestamp = first_special, end_of_text, first_timestamp

    def choose(self, logits: np.ndarray, said: list[int]) -> int:
        """The best allowed next token after `said` (without the prompt)."""
        scores = logits.astype(np.float64).copy()
        first = self.first_timestamp
        scores[self.first_special : first] = _NEVER
        if not said:
            scores[:first] = _NEVER
            return int(scores.argmax())
        after_timestamp = said[-1] >= first
        pair_closed = len(said) < 2 or said[-2] >= first
        if after_timestamp and pair_closed:
            scores[first:] = _NEVER
        elif after_timestamp:
            scores[: self.end_of_text] = _NEVER
        stamps = [token for token in said if token >= first]
        if stamps:
            earliest = stamps[-1] if after_timestamp and not pair_closed else stamps[-1] + 1
            scores[first:earliest] = _NEVER
        stamp_weight = np.logaddexp.reduce(scores[first:])
        if stamp_weight > scores[:first].max():
            scores[:first] = _NEVER
        return int(scores.argmax())


class OnnxWhisper:
    """A Whisper folder in the hub's layout (encoder_model, decoder_model_merged)."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        generation = json.loads((folder / "generation_config.json").read_text())
        front_end = json.loads((folder / "preprocessor_config.json").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self.encoder = onnxruntime.InferenceSession(str(folder / "onnx/encoder_model.onnx"), options, providers)
        self.decoder = onnxruntime.InferenceSession(str(folder / "onnx/decoder_model_merged.onnx"), options, providers)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.frames: int = front_end["nb_max_frames"]
        self.heads: int = config["decoder_attention_heads"]
        self.head_width: int = config["d_model"] // self.heads
        self.end_of_text: int = generation["eos_token_id"]
        self.first_timestamp: int = generation["no_timestamps_token_id"] + 1
        self.no_timestamps: int = generation["no_timestamps_token_id"]
        self.prompt = [
            generation["decoder_start_token_id"],
            generation["lang_to_id"]["<|en|>"],
            generation["task_to_id"]["transcribe"],
        ]
        self.rules = TimestampRules(self.prompt[0], self.end_of_text, self.first_timestamp)
        self.past_names = [i.name for i in self.decoder.get_inputs() if i.name.startswith("past_key_values")]
        self.outputs = [o.name for o in self.decoder.get_outputs()]

    def tokens(self, features: np.ndarray, timestamps: bool = True, limit: int = 220) -> list[int]:
        """Greedy tokens for one window of features [80, frames], without prompt and end."""
        hidden = self.encoder.run(None, {"input_features": features[None]})[0]
        empty = np.zeros((1, self.heads, 0, self.head_width), np.float32)
        past = dict.fromkeys(self.past_names, empty)
        ids = self.prompt if timestamps else [*self.prompt, self.no_timestamps]
        said: list[int] = []
        while len(said) < limit:
            feeds = {
                "input_ids": np.array([ids]),
                "encoder_hidden_states": hidden,
                "use_cache_branch": np.array([bool(said)]),
            }
            result = dict(zip(self.outputs, self.decoder.run(None, {**feeds, **past})))
            logits = result["logits"][0, -1]
            if timestamps:
                token = self.rules.choose(logits, said)
            else:
                logits[self.prompt[0] :] = _NEVER
                token = int(logits.argmax())
            if token == self.end_of_text:
                break
            said.append(token)
            ids = [token]
            past = {name: result[name.replace("past_key_values", "present")] for name in self.past_names}
        return said

    def segments(self, said: list[int]) -> list[Segment]:
        """Tokens to timed text."""
        segments: list[Segment] = []
        start: float | None = None
        words: list[int] = []
        open_segment = False
        for token in said:
            if token < self.first_timestamp:
                words.append(token)
                open_segment = True
                continue
            at = (token - self.first_timestamp) * 0.02
            if open_segment:
                segments.append(Segment(start, at, self._text(words)))
                start, words, open_segment = None, [], False
            else:
                start, open_segment = at, True
        if words:
            segments.append(Segment(start, None, self._text(words)))
        return segments

    def transcribe(self, waveform: np.ndarray, timestamps: bool = True) -> list[Segment]:
        """Timed text of up to one window of 16 kHz mono sound."""
        return self.segments(self.tokens(log_mel(waveform, self.frames), timestamps))

    @property
    def window_seconds(self) -> float:
        return self.frames / FRAMES_PER_SECOND

    def _text(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens).strip()
