"""Trains the tiny Whisper: next token with soft timestamps, phonemes from the encoder, attention shown where to look.

The two helping losses fade as training goes on. Windows grow from 5 to 10 to 30 seconds, each laid at a random place
of the 30-second grid, so that every position and timestamp is learnt. A last stage adds windows whose end is long
silent.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from .model import Sizes, Whisper
from .synthesize import load
from .tokenizer import Tokens
from .windows import OTHER, Batch, Batches, Composer, make_ready, noises, phoneme_labels

WARM_UP_STEPS, LAST_RATE, WEIGHT_DECAY = 200, 0.02, 0.02
TIMESTAMP_SPREAD = {-2: 0.06, -1: 0.2, 0: 0.48, 1: 0.2, 2: 0.06}  # a timestamp 20 ms off is almost right
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Stage:
    """A run with its own learning-rate curve: so many steps of so many windows of so many frames."""

    name: str
    peak_rate: float
    steps: tuple[tuple[int, int, int], ...]  # (steps, frames, windows a step)
    long_tails: bool

    def plan(self, share: float) -> list[tuple[int, int]]:
        return [(frames, windows) for steps, frames, windows in self.steps for _ in range(round(steps * share))]


STAGES = [
    Stage("main", 2e-3, ((495, 500, 24), (3325, 1000, 16), (2189, 3000, 6)), long_tails=False),
    Stage("tails", 6e-4, ((1549, 3000, 6),), long_tails=True),
]


@dataclass
class Losses:
    """Means over a batch; the last two are shares of right words and of timestamps within 40 ms."""

    tokens: Tensor
    phonemes: Tensor
    guidance: Tensor
    words_right: float
    timestamps_right: float


def losses(model: Whisper, batch: Batch) -> Losses:
    sizes, first = model.sizes, model.sizes.first_timestamp
    encoded = model.encoder(batch.features, batch.offsets)
    logits, attention = model.decode(_shaken_timestamps(batch.ids, sizes), encoded)
    wanted = batch.labels >= 0
    labels, logs = batch.labels[wanted], logits[wanted].log_softmax(-1)
    is_stamp = labels >= first
    words, stamps = logs[~is_stamp], logs[is_stamp]
    token_loss = -words.gather(1, labels[~is_stamp][:, None]).sum()
    for shift, weight in TIMESTAMP_SPREAD.items():
        near = (labels[is_stamp] + shift).clamp(first, sizes.vocabulary - 1)
        token_loss = token_loss - weight * stamps.gather(1, near[:, None]).sum()
    named = model.phoneme_head(encoded)
    stamps_right = (stamps.argmax(1) - labels[is_stamp]).abs() <= 2
    return Losses(
        token_loss / len(labels),
        F.cross_entropy(named.flatten(0, 1), batch.phonemes.flatten(), ignore_index=OTHER),
        _guidance(attention, batch.attend),
        (words.argmax(1) == labels[~is_stamp]).float().mean().item(),
        stamps_right.float().mean().item() if len(stamps) else 0.0,
    )


def _shaken_timestamps(ids: Tensor, sizes: Sizes) -> Tensor:
    """Moves three of ten timestamps fed in by up to 40 ms: the decoder will have to live with its own errors."""
    shift = torch.randint(-2, 3, ids.shape) * (torch.rand(ids.shape) < 0.3)
    moved = (ids + shift).clamp(sizes.first_timestamp, sizes.vocabulary - 1)
    return torch.where(ids >= sizes.first_timestamp, moved, ids)


def _guidance(attention: list[Tensor], attend: Tensor) -> Tensor:
    """How little two heads of the last two layers look where the token sounds: minus the log of the weight there."""
    told = attend[..., 0] > -1
    positions = torch.arange(attention[0].shape[-1])
    there = (positions >= attend[..., :1].floor()) & (positions <= attend[..., 1:].ceil())
    total = torch.zeros(())
    for weights in attention[-2:]:
        inside = (weights[:, :2].exp() * there[:, None]).sum(-1).clamp_min(1e-6)
        total = total - (inside.log() * told[:, None]).sum() / (2 * told.sum().clamp_min(1))
    return total / 2


def train(data: Path, folder: Path, share: float = 1.0, seed: int = 1, workers: int = 1, threads: int = 1) -> None:
    """Trains on `data` (see synthesize.py) and writes checkpoints to `folder`; `share` cuts stages.

    A checkpoint of the same run that is there already is gone on with: a run may be interrupted.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    tokens = Tokens()
    utterances = load(data, "train")
    phonemes = phoneme_labels(utterances)
    ready = [make_ready(u, tokens, phonemes) for u in utterances]
    backgrounds = noises()
    model = Whisper(Sizes(tokens.count, tokens.first_timestamp, len(phonemes) + 2))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{len(ready)} utterances, {sum(p.numel() for p in model.parameters())} parameters", flush=True)
    run = {"share": share, "seed": seed}
    reached = _reached(folder / CHECKPOINT, run)
    if reached:
        model.load_state_dict(reached["weights"])
        print(f"goes on after step {reached['step']} of stage {reached['stage']}", flush=True)
    names = [stage.name for stage in STAGES]
    for number, stage in enumerate(STAGES):
        if reached and number < names.index(reached["stage"]):
            continue
        goes_on = reached if reached and stage.name == reached["stage"] else None
        plan = stage.plan(share)
        composer = Composer(ready, backgrounds, tokens, stage.long_tails)
        todo = range(goes_on["step"] if goes_on else 0, len(plan))
        batches = Batches(composer, plan, seed + number)
        loader = DataLoader(batches, batch_size=None, sampler=todo, num_workers=workers)
        _run_stage(stage, model, zip(todo, loader), len(plan), folder, run, goes_on)


def _reached(file: Path, run: dict) -> dict | None:
    """The checkpoint of this very run, if it was interrupted."""
    checkpoint = torch.load(file, weights_only=True) if file.exists() else None
    return checkpoint if checkpoint and checkpoint.get("run") == run else None


def _run_stage(
    stage: Stage,
    model: Whisper,
    batches: Iterable[tuple[int, Batch]],
    steps: int,
    folder: Path,
    run: dict,
    reached: dict | None,
) -> None:
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for name, p in trained if p.dim() > 1 and "embed" not in name]
    others = [p for name, p in trained if not (p.dim() > 1 and "embed" not in name)]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=stage.peak_rate, betas=(0.9, 0.98), eps=1e-8)
    if reached:
        optimizer.load_state_dict(reached["optimizer"])
    started, windows = time.monotonic(), 0
    for step, batch in batches:
        torch.manual_seed(run["seed"] * 1_000_003 + step)  # the same, interrupted or not
        done = step / steps
        cosine = 0.5 * (1 + math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = stage.peak_rate * min(1, (step + 1) / WARM_UP_STEPS) * (cosine * (1 - LAST_RATE) + LAST_RATE)
        found = losses(model, batch)
        loss = found.tokens + (0.5 * (1 - done) + 0.05) * found.phonemes + (0.3 * (1 - done) + 0.03) * found.guidance
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([p for _, p in trained], 1.0)
        optimizer.step()
        windows += len(batch.ids)
        if step % 50 == 49 or step == steps - 1:
            print(
                f"{stage.name} {time.monotonic() - started:5.0f}s step {step + 1}/{steps} windows {windows} "
                f"tokens {found.tokens.item():.3f} phonemes {found.phonemes.item():.3f} "
                f"guidance {found.guidance.item():.3f} "
                f"words right {found.words_right:.3f} timestamps right {found.timestamps_right:.3f}",
                flush=True,
            )
        if step % 200 == 199 or step == steps - 1:
            state = {"sizes": vars(model.sizes), "weights": model.state_dict(), "optimizer": optimizer.state_dict()}
            aside = folder / f"{CHECKPOINT}.new"
            torch.save(state | {"run": run, "stage": stage.name, "step": step + 1}, aside)
            aside.replace(folder / CHECKPOINT)


def load_model(file: Path) -> Whisper:
    checkpoint = torch.load(file, weights_only=True)
    model = Whisper(Sizes(**checkpoint["sizes"]))
    model.load_state_dict(checkpoint["weights"])
    return model.eval()
