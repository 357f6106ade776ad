"""Frames of real videos: decoded at full size, prepared by transformers' image processor, embedded by the tiny CLIP in PyTorch.

The videos are not in the repository; a machine without them keeps the golden there is.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

from .clip import TINY, load_tiny, rounded, unit
from .files import write_json

MEDIA = Path("../shared/media")
VIDEOS = ["bottle-detection.mp4", "one-by-one-person-detection.mp4"]
INTERVAL = 8
"""The first frame of every so many seconds."""


def make(folder: Path) -> None:
    if not MEDIA.is_dir():
        print(f"frames: {MEDIA} is not here, the golden stays as it is")
        return
    crop = CLIPImageProcessorPil.from_pretrained(TINY)
    norms = {"resample": 3, "image_mean": crop.image_mean, "image_std": crop.image_std}
    squash = SiglipImageProcessorPil(size={"height": 64, "width": 64}, **norms)
    model = load_tiny()
    expected = {"intervalMs": INTERVAL * 1000, "videos": {}}
    for video in VIDEOS:
        with tempfile.TemporaryDirectory() as scratch:
            first = f"isnan(prev_selected_t)+gt(floor(t/{INTERVAL}),floor(prev_selected_t/{INTERVAL}))"
            command = [
                "ffmpeg",
                "-v",
                "error",
                "-i",
                MEDIA / video,
                "-vf",
                f"select='{first}'",
                "-fps_mode",
                "passthrough",
            ]
            subprocess.run([*command, f"{scratch}/%04d.png"], check=True)
            pictures = [Image.open(file).convert("RGB") for file in sorted(Path(scratch).iterdir())]
        expected["videos"][video] = {
            name: [embed(model, processor, picture) for picture in pictures]
            for name, processor in (("crop", crop), ("squash", squash))
        }
    write_json(folder / "clip-frames.json.gz", expected)


def embed(model, processor, picture: Image.Image) -> list[float]:
    pixels = torch.from_numpy(processor(picture, return_tensors="np")["pixel_values"])
    with torch.no_grad():
        return rounded(unit(model.get_image_features(pixel_values=pixels).pooler_output[0]))
