"""Training data, drawn as it is needed: batch `i` of a seed is always the same, whoever draws it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .captions import caption
from .snapshot import snapshot
from .tokenizer import END, load_tokenizer
from .world import Spec, all_facts, facts, near_miss, random_spec

MEAN = (0.48145466, 0.4578275, 0.40821073)  # CLIP's own picture statistics
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
FACTS = all_facts()
FACT_INDEX = {fact: i for i, fact in enumerate(FACTS)}


def normalise(pictures: np.ndarray) -> Tensor:
    """8-bit pictures [n, side, side, 3] to network input [n, 3, side, side]."""
    scaled = (pictures.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(DEVIATION)
    return torch.from_numpy(scaled.transpose(0, 3, 1, 2).copy())


@dataclass
class Batch:
    """Pairs of a picture and a caption, with what is true of the one and what the other asserts."""

    pictures: Tensor  # [n, 3, side, side]
    ids: Tensor  # [n, longest]
    true: Tensor  # [n, facts], 0 or 1
    asserted: Tensor  # [n, facts], 0 or 1


class Batches(Dataset):
    """Batches by number. Every second picture is a near miss of the one before it."""

    def __init__(self, tokenizer_folder: Path, sizes: list[int], seed: int) -> None:
        self.folder, self.sizes, self.seed = tokenizer_folder, sizes, seed
        self.tokenizer = None  # loaded where it is used: in the worker process

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, number: int) -> Batch:
        self.tokenizer = self.tokenizer or load_tokenizer(self.folder)
        rng = random.Random(self.seed * 1_000_003 + number)
        specs: list[Spec] = []
        while len(specs) < self.sizes[number]:
            spec = random_spec(rng)
            specs += [spec, near_miss(rng, spec)]
        pictures = normalise(np.stack([snapshot(spec, rng) for spec in specs]))
        captions = [caption(rng, spec, full=rng.random() < 0.3) for spec in specs]
        ids = pad([self.tokenizer.encode(text).ids for text, _ in captions], self.tokenizer.token_to_id(END))
        return Batch(pictures, ids, _flags([facts(spec) for spec in specs]), _flags([told for _, told in captions]))


def pad(rows: list[list[int]], value: int) -> Tensor:
    """[n, longest]"""
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


def _flags(sets: list[frozenset]) -> Tensor:
    flags = torch.zeros(len(sets), len(FACTS))
    for row, members in zip(flags, sets):
        row[[FACT_INDEX[fact] for fact in members]] = 1
    return flags
