"""Makes the tiny Whisper again: `python -m tools.tiny_whisper all --out build/tiny_whisper`, or one step."""

from __future__ import annotations

import argparse
from pathlib import Path

STEPS = ["synthesize", "train", "export", "evaluate"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.tiny_whisper", description=__doc__)
    parser.add_argument("step", choices=["all", *STEPS])
    parser.add_argument(
        "--out", type=Path, default=Path("build/tiny_whisper"), help="folder for model, data and checkpoint"
    )
    parser.add_argument("--utterances", type=int, help="sentences to train on, if not the published run's")
    parser.add_argument("--share", type=float, default=1.0, help="part of every training stage to run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that compose windows; they change no result")
    parser.add_argument("--threads", type=int, default=1, help="threads that train; they change the last digits")
    options = parser.parse_args()
    for step in STEPS if options.step == "all" else [options.step]:
        run(step, options)


def run(step: str, options: argparse.Namespace) -> None:
    """One step. Imports are made where they are used: evaluating needs no PyTorch."""
    data = options.out / "data"
    if step == "synthesize":
        from .synthesize import TRAINING_UTTERANCES, synthesize

        synthesize(data, options.seed, options.utterances or TRAINING_UTTERANCES)
    elif step == "train":
        from .train import train

        train(data, options.out, options.share, options.seed, options.workers, options.threads)
    elif step == "export":
        from .export import export

        export(options.out)
    else:
        from .evaluate import evaluate

        evaluate(data, options.out)


if __name__ == "__main__":
    main()
