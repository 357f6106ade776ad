"""Trains the tiny CLIP: symmetric InfoNCE over near misses, with an auxiliary loss that names facts and fades out."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from .data import FACTS, Batch, Batches
from .model import Clip, Sizes
from .tokenizer import load_tokenizer
from .world import is_held_out

PAIRS = 229_632
SMALL_BATCH, LARGE_BATCH = 128, 256
SMALL_UNTIL = 0.35  # of all pairs
PEAK_RATE, LAST_RATE, WARM_UP_STEPS = 1e-3, 0.02, 150
WEIGHT_DECAY = 0.05
AUXILIARY_WEIGHT = 0.05
HIGHEST_SCALE = 100.0
CHECKPOINT = "checkpoint.pt"


def batch_sizes(pairs: int) -> list[int]:
    """The whole schedule: small batches first, then large ones."""
    small = round(pairs * SMALL_UNTIL / SMALL_BATCH)
    large = (pairs - small * SMALL_BATCH) // LARGE_BATCH
    return [SMALL_BATCH] * small + [LARGE_BATCH] * large


def learning_rate(step: int, done: float) -> float:
    """Linear warm-up, then half a cosine to LAST_RATE of the peak; `done` is the part of all pairs seen."""
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return PEAK_RATE * min(1, (step + 1) / WARM_UP_STEPS) * (cosine * (1 - LAST_RATE) + LAST_RATE)


def contrastive_loss(texts: Tensor, pictures: Tensor, scale: Tensor, batch: Batch) -> Tensor:
    """InfoNCE both ways. A picture of which another's caption is true too is no negative for it."""
    untold = batch.asserted @ (1 - batch.true).T  # how many facts of caption i do not hold in picture j
    also_true = untold < 0.5
    also_true.fill_diagonal_(False)
    logits = (scale * texts @ pictures.T).masked_fill(also_true, -1e4)
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def _optimizer(modules: list[nn.Module]) -> torch.optim.AdamW:
    named = [item for module in modules for item in module.named_parameters()]
    matrices = [p for name, p in named if p.dim() >= 2 and "embedding" not in name]
    others = [p for name, p in named if not (p.dim() >= 2 and "embedding" not in name)]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98), eps=1e-8)


def train(folder: Path, pairs: int = PAIRS, seed: int = 1, workers: int = 1) -> None:
    """Trains from nothing with the tokenizer in `folder` and writes its checkpoint there."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    sizes = batch_sizes(pairs)
    model = Clip(Sizes(vocabulary=load_tokenizer(folder).get_vocab_size()))
    namer = nn.Linear(model.sizes.width, len(FACTS))  # the auxiliary head: which facts hold, from the picture alone
    nn.init.constant_(namer.bias, -4.0)
    nameable = torch.tensor([0.0 if is_held_out(fact) else 1.0 for fact in FACTS])
    optimizer = _optimizer([model, namer])
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    batches = DataLoader(Batches(folder, sizes, seed), batch_size=None, num_workers=workers, prefetch_factor=4)
    total, seen, started, recent = sum(sizes), 0, time.monotonic(), []
    print(f"{len(sizes)} steps, {total} pairs, {sum(p.numel() for p in model.parameters())} parameters", flush=True)
    for step, batch in enumerate(batches):
        done = seen / total
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, done)
        pooled = model.vision.pooled(batch.pictures)
        pictures = F.normalize(model.vision.projection(pooled), dim=-1)
        texts = F.normalize(model.text(batch.ids), dim=-1)
        loss = contrastive_loss(texts, pictures, model.logit_scale.exp(), batch)
        per_fact = F.binary_cross_entropy_with_logits(namer(pooled), batch.true, reduction="none")
        naming = (per_fact * nameable).sum(1).mean()
        optimizer.zero_grad()
        (loss + AUXILIARY_WEIGHT * (1 - done) * naming).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(HIGHEST_SCALE))
        seen += len(batch.ids)
        recent = [*recent, loss.item()][-50:]
        if step % 50 == 49 or step == len(sizes) - 1:
            seconds = time.monotonic() - started
            print(
                f"{seconds:5.0f}s step {step + 1} pairs {seen} loss {sum(recent) / len(recent):.3f} "
                f"naming {naming.item():.2f} scale {model.logit_scale.exp().item():.1f} {seen / seconds:.0f} pairs/s",
                flush=True,
            )
        if step % 200 == 199 or step == len(sizes) - 1:
            save(model, folder / CHECKPOINT, step + 1, seen)


def save(model: Clip, file: Path, steps: int, pairs: int) -> None:
    torch.save({"sizes": vars(model.sizes), "weights": model.state_dict(), "steps": steps, "pairs": pairs}, file)


def load(file: Path) -> Clip:
    """The trained model, its weights rounded to half precision as the export stores them."""
    checkpoint = torch.load(file, weights_only=True)
    model = Clip(Sizes(**checkpoint["sizes"]))
    model.load_state_dict({name: value.half().float() for name, value in checkpoint["weights"].items()})
    return model.eval()
