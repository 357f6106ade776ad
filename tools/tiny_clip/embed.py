"""Runs an exported CLIP folder in onnxruntime: pictures and texts to unit vectors.

Needs numpy, Pillow, onnxruntime and tokenizers only; the tools that check the sample video use it too.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from tokenizers import Tokenizer

_BATCH = 64


class OnnxClip:
    """A CLIP folder in the hub's layout (vision_model, text_model)."""

    def __init__(self, folder: Path, suffix: str = "") -> None:
        config = json.loads((folder / "config.json").read_text())
        picture = json.loads((folder / "preprocessor_config.json").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self.vision = onnxruntime.InferenceSession(str(folder / f"onnx/vision_model{suffix}.onnx"), options, providers)
        self.text = onnxruntime.InferenceSession(str(folder / f"onnx/text_model{suffix}.onnx"), options, providers)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.end_of_text: int = config["text_config"]["eos_token_id"]
        self.side: int = picture["crop_size"]["height"]
        self.mean = np.array(picture["image_mean"], np.float32)
        self.deviation = np.array(picture["image_std"], np.float32)

    def pixels(self, pictures: np.ndarray) -> np.ndarray:
        """[n, 3, side, side] network input of 8-bit pictures [n, side, side, 3]."""
        scaled = (pictures.astype(np.float32) / 255 - self.mean) / self.deviation
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))

    def embed_pictures(self, pictures: np.ndarray) -> np.ndarray:
        """Unit vectors [n, width] of 8-bit pictures [n, side, side, 3] that are cropped already."""
        batches = [pictures[i : i + _BATCH] for i in range(0, len(pictures), _BATCH)]
        return _unit(np.concatenate([self.vision.run(None, {"pixel_values": self.pixels(b)})[0] for b in batches]))

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """Unit vectors [n, width] of texts."""
        rows = []
        for i in range(0, len(texts), _BATCH):
            ids = [encoding.ids for encoding in self.tokenizer.encode_batch(texts[i : i + _BATCH])]
            longest = max(map(len, ids))
            padded = np.array([row + [self.end_of_text] * (longest - len(row)) for row in ids])
            rows.append(self.text.run(None, {"input_ids": padded})[0])
        return _unit(np.concatenate(rows))

    def fit(self, picture: Image.Image) -> np.ndarray:
        """A picture of any size as the product prepares it: shorter side to `side`, middle square kept."""
        scale = self.side / min(picture.size)
        width, height = (max(self.side, round(v * scale)) for v in picture.size)
        left, top = (width - self.side) // 2, (height - self.side) // 2
        resized = picture.resize((width, height), Image.BICUBIC)
        return np.asarray(resized.crop((left, top, left + self.side, top + self.side)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
