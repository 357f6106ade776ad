"""A drawn picture as a frame of some video might show it."""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image, ImageFilter

from .drawings import draw
from .world import Spec

_RESIZERS = [Image.BICUBIC, Image.BILINEAR, Image.BOX, Image.LANCZOS, Image.BICUBIC]


def snapshot(spec: Spec, rng: random.Random, side: int = 64) -> np.ndarray:
    """[side, side, 3]: the spec as some video might show it: resized, blurred, re-lit, noisy, compressed, cropped."""
    height = rng.choice([96, 128, 160, 224])
    image = draw(spec, rng, int(height * rng.choice([1, 1, 1.33, 1.78])), height)
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, height / 90)))
    width = round(image.width * side / height)
    left = (width - side) // 2
    image = image.resize((width, side), rng.choice(_RESIZERS)).crop((left, 0, left + side, side))
    pixels = np.asarray(image).astype(np.float32)
    if rng.random() < 0.7:  # brightness
        pixels = pixels * rng.uniform(0.8, 1.15) + rng.uniform(-15, 15)
    if rng.random() < 0.3:  # contrast
        mean = pixels.mean()
        pixels = (pixels - mean) * rng.uniform(0.75, 1.2) + mean
    if rng.random() < 0.3:
        noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(1, 9), pixels.shape)
        pixels = pixels + noise
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        packed = io.BytesIO()
        image.save(packed, "JPEG", quality=rng.randint(30, 95))
        image = Image.open(packed).convert("RGB")
    return np.asarray(image)
