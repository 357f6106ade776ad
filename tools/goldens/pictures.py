"""Pictures of many shapes, and the tensors that transformers' image processors make of them.

The processors are the ones on Pillow: CLIP was trained on pictures that Pillow had scaled.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from PIL import Image
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

from .files import write_json

SHAPES = [(w, h) for w in (1, 2, 23, 64, 101) for h in (1, 24, 65)] + [(320, 180), (90, 211), (400, 7), (5, 300)]
"""Width and height: one pixel, scaled up and down, tall, wide, odd, as large as the model's."""

SIDE = 24
FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


def draw(width: int, height: int) -> np.ndarray:
    """A picture with slopes, hard edges and noise, the same for the same shape."""
    rng = np.random.default_rng(width * 1009 + height)
    y, x = np.mgrid[0:height, 0:width]
    slopes = np.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x + y) * 5 % 256], axis=-1)
    slopes[((x // 5 + y // 3) % 4) == 0] = (250, 12, 90)
    noisy = (x * 3 > width) & (x * 3 < 2 * width) & (y % 8 < 3)
    slopes[noisy] = rng.integers(0, 256, (int(noisy.sum()), 3))
    return slopes.astype(np.uint8)


def processors() -> dict[str, object]:
    crop = {"height": SIDE, "width": SIDE}
    clip = {"size": {"shortest_edge": SIDE}, "crop_size": crop}
    made = {f"clip-{name}": CLIPImageProcessorPil(**clip, resample=n) for name, n in FILTERS.items()}
    # Resized to more than the model takes, then cropped by an odd margin.
    made["clip-margin"] = CLIPImageProcessorPil(size={"shortest_edge": SIDE + 5}, crop_size=crop)
    made["siglip-bicubic"] = SiglipImageProcessorPil(size=crop, resample=3, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    return made


def make(folder: Path) -> None:
    (folder / "clip-pictures").mkdir(parents=True, exist_ok=True)
    for old in (folder / "clip-pictures").iterdir():
        old.unlink()
    cases, tensors = [], []
    for width, height in SHAPES:
        file = f"{width}x{height}.png"
        Image.fromarray(draw(width, height)).save(folder / "clip-pictures" / file, optimize=True)
        picture = Image.open(folder / "clip-pictures" / file)
        for name, processor in processors().items():
            if name not in ("clip-bicubic", "siglip-bicubic") and (width, height) not in ((320, 180), (23, 65), (2, 1)):
                continue
            tensor = processor(picture, return_tensors="np")["pixel_values"][0]
            assert tensor.shape == (3, SIDE, SIDE) and tensor.dtype == np.float32, (tensor.shape, tensor.dtype)
            cases.append({"file": file, "processor": name})
            tensors.append(tensor)
    configs = {name: processor.to_dict() for name, processor in processors().items()}
    description = {"side": SIDE, "processors": configs, "cases": cases}
    write_json(folder / "clip-pixels.json.gz", description)
    # float32, little endian, one tensor after the other in the order of the cases
    packed = gzip.compress(np.stack(tensors).astype("<f4").tobytes(), 9, mtime=0)
    (folder / "clip-pixels.f32.gz").write_bytes(packed)
