"""Writes test/fixtures/held-out: two and a half minutes of sentences the tiny Whisper never trained on.

    python -m tools.tiny_whisper.held_out build/tiny_whisper/data

The data folder is what `synthesize` made. Sentences come as in `evaluate`'s full windows, with noise and pauses.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np

from .evaluate import full_window
from .features import SAMPLE_RATE
from .synthesize import load

TARGET = Path("test/fixtures/held-out")
WINDOWS = 5


def write(data: Path) -> None:
    test, rng = load(data, "test"), random.Random(21)
    windows = [full_window(test, rng) for _ in range(WINDOWS)]
    sound = np.concatenate([sound for sound, _ in windows])
    TARGET.mkdir(parents=True, exist_ok=True)
    raw = ["-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-i", "-"]
    packed = ["-c:a", "libopus", "-b:a", "16k", "-application", "voip", "-bitexact", str(TARGET / "speech.ogg")]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *raw, *packed], input=sound.astype("<f4").tobytes(), check=True)
    sentences = [segment.text for _, said in windows for segment in said]
    (TARGET / "speech.json").write_text(json.dumps({"sentences": sentences}, indent=2) + "\n")
    size = (TARGET / "speech.ogg").stat().st_size
    print(f"{len(sentences)} sentences, {len(' '.join(sentences).split())} words, {size} bytes")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
