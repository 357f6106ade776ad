"""Makes the tiny CLIP again: `python -m tools.tiny_clip all --out build/tiny_clip`, or one step of it by name."""

from __future__ import annotations

import argparse
from pathlib import Path

STEPS = ["tokenizer", "train", "export", "evaluate"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.tiny_clip", description=__doc__)
    parser.add_argument("step", choices=["all", *STEPS])
    parser.add_argument(
        "--out", type=Path, default=Path("build/tiny_clip"), help="folder for the model and its checkpoint"
    )
    parser.add_argument("--pairs", type=int, help="pictures to train on, if fewer than the published run's")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw; they change no result")
    options = parser.parse_args()
    for step in STEPS if options.step == "all" else [options.step]:
        run(step, options)


def run(step: str, options: argparse.Namespace) -> None:
    """One step. Imports are made where they are used: evaluating needs no PyTorch."""
    if step == "tokenizer":
        from .tokenizer import write_tokenizer

        print(f"{write_tokenizer(options.out)} tokens")
    elif step == "train":
        from .train import PAIRS, train

        train(options.out, options.pairs or PAIRS, options.seed, options.workers)
    elif step == "export":
        from .export import export

        export(options.out)
    else:
        from .evaluate import evaluate

        evaluate(options.out)


if __name__ == "__main__":
    main()
