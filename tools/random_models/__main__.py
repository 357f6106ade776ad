"""python -m tools.random_models OUT: models with the architecture and files of the hub's, and random weights."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from . import clip, text, whisper


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.random_models", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write to; works as MODELS_DIR")
    parser.add_argument("--only", choices=["clip", "whisper", "text"], help="only this one")
    parser.add_argument("--tokens", type=int, default=96, help="text tokens that Whisper writes in each window")
    settings = parser.parse_args()
    torch.manual_seed(0)
    with torch.no_grad():
        if settings.only in (None, "clip"):
            clip.make(settings.out / "Xenova/clip-vit-base-patch32")
        if settings.only in (None, "text"):
            text.make(settings.out / "Xenova/multilingual-e5-small")
        if settings.only in (None, "whisper"):
            whisper.make(settings.out / "onnx-community/whisper-base", settings.tokens)


if __name__ == "__main__":
    main()
