"""Makes test/models/golden: what the Python reference gives for the inputs of the tests.

    python -m tools.goldens            # all of it
    python -m tools.goldens pictures clip  # parts of it

A part is a module of this folder with a function `make(folder)`, which writes into test/models/golden.
"""

from __future__ import annotations

import argparse
import importlib
import json
from importlib.metadata import version
from pathlib import Path

PARTS = {
    "pictures": ["pillow", "transformers", "numpy"],
    "clip": ["tokenizers", "transformers", "torch"],
    "siglip": ["tokenizers", "sentencepiece", "transformers", "torch", "onnx"],
    "text": ["tokenizers", "sentencepiece", "transformers", "torch", "onnx"],
    "frames": ["pillow", "transformers", "torch"],
    "whisper": ["transformers", "torch", "numpy", "onnxruntime"],
    "prompts": ["tokenizers", "transformers", "torch"],
}
"""Every part and the packages that its numbers come from; their versions are written beside them."""

FOLDER = Path("test/models/golden")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.goldens", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; default: all")
    chosen = parser.parse_args().parts or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    versions_file = FOLDER / "versions.json"
    versions = json.loads(versions_file.read_text()) if versions_file.exists() else {}
    for part in chosen:
        importlib.import_module(f"tools.goldens.{part}").make(FOLDER)
        versions[part] = {package: version(package) for package in PARTS[part]}
        versions_file.write_text(json.dumps(versions, indent=2, sort_keys=True) + "\n")
        print(f"{part}: done")


main()
