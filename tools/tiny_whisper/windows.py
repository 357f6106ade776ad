"""Composes training windows from utterances and noise, as mel power, while training runs.

Power spectra of sounds that are not related add up, so mixing needs no waveforms.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from .features import FRAMES_PER_SECOND, MELS, SAMPLE_RATE, WINDOW, compress, mel_power
from .synthesize import LEAD_FRAMES, Utterance
from .tokenizer import LAST_TIMESTAMP, Tokens

PAUSE, OTHER = 0, 1  # phoneme labels; OTHER is not trained on
FULL_POSITIONS = 1500  # encoder positions of a whole 30-second window: two frames each
_NOWHERE = (-1.0, 0.0)


@dataclass
class Voiced:
    """An utterance made ready: token ids, linear mel power and a phoneme label a frame."""

    ids: list[int]
    frames: float
    word_starts: np.ndarray  # in frames
    power: np.ndarray
    labels: np.ndarray


@dataclass
class Segment:
    """A stretch of speech in a window, in frames; `end` is None where the window cuts it, and then it has no words."""

    start: float
    end: float | None
    ids: list[int] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)


@dataclass
class Window:
    """One training example. `labels[i]` is the token to say after `ids[i]`; `attend[i]` the positions that tell it."""

    features: np.ndarray
    offset: int
    ids: list[int]
    labels: list[int]
    attend: list[tuple[float, float]]
    phonemes: np.ndarray


@dataclass
class Batch:
    features: Tensor  # [n, 80, frames]
    offsets: Tensor  # [n]
    ids: Tensor  # [n, longest]
    labels: Tensor  # [n, longest], -100 where nothing is to be learnt
    attend: Tensor  # [n, longest, 2], -1 where nothing tells
    phonemes: Tensor  # [n, frames / 2]


def phoneme_labels(utterances: list[Utterance], at_least: int = 20) -> dict[str, int]:
    """A label for every phoneme that is not rare."""
    counts = Counter(name for u in utterances for _, name in u.phonemes if not name.startswith("_"))
    return {name: i + 2 for i, (name, count) in enumerate(counts.most_common()) if count > at_least}


def make_ready(utterance: Utterance, tokens: Tokens, phonemes: dict[str, int]) -> Voiced:
    labels = np.zeros(len(utterance.log_power), np.int64)
    for seconds, name in utterance.phonemes:
        labels[round(seconds * FRAMES_PER_SECOND) + LEAD_FRAMES :] = (
            PAUSE if name.startswith("_") else phonemes.get(name, OTHER)
        )
    labels[int(utterance.seconds * FRAMES_PER_SECOND) + LEAD_FRAMES + 1 :] = PAUSE
    labels[:LEAD_FRAMES] = PAUSE
    power = np.float32(10) ** utterance.log_power.astype(np.float32)
    starts = utterance.word_starts * FRAMES_PER_SECOND
    return Voiced(tokens.words(utterance.text), utterance.seconds * FRAMES_PER_SECOND, starts, power, labels)


def noises(seed: int = 0, seconds: int = 120) -> list[np.ndarray]:
    """Mel power of long noises: five colours, and mains hum."""
    rng = np.random.default_rng(seed)
    count = seconds * SAMPLE_RATE
    hz = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 40)
    sounds = [
        np.fft.irfft(np.fft.rfft(rng.normal(size=count)) * hz ** (-slope / 2), count) for slope in (0, 0.5, 1, 1.5, 2)
    ]
    t = np.arange(count) / SAMPLE_RATE
    hum = sum(np.sin(2 * np.pi * 50 * k * t + k) / k for k in range(1, 12))
    sounds.append(hum / hum.std() + 0.3 * rng.normal(size=count))
    padded = [np.pad(sound / sound.std(), WINDOW // 2).astype(np.float32) for sound in sounds]
    return [mel_power(sound, seconds * FRAMES_PER_SECOND) for sound in padded]


class Composer:
    """Makes windows from one set of utterances."""

    def __init__(
        self, utterances: list[Voiced], backgrounds: list[np.ndarray], tokens: Tokens, long_tails: bool
    ) -> None:
        self.utterances, self.backgrounds, self.tokens, self.long_tails = utterances, backgrounds, tokens, long_tails

    def window(self, rng: random.Random, frames: int) -> Window:
        """A window of sentences with pauses, or (6 of 100) of none, under noise (8 of 10) and any loudness and tone."""
        power, labels = np.zeros((frames, MELS), np.float32), np.zeros(frames, np.int64)
        offset = rng.randint(0, FULL_POSITIONS - frames // 2) if frames // 2 < FULL_POSITIONS else 0
        silent = rng.random() < 0.06
        segments, speech_end = ([], 0.0) if silent else self._fill(rng, power, labels)
        if rng.random() < 0.8:
            noise = self._noise(rng, frames)
            if not silent and rng.random() < 0.6:
                noise[min(frames, int(speech_end)) :] = 0
            power += noise
        power *= self._tone(rng)
        ids, wanted, attend = self._script(rng, segments, offset)
        return Window(compress(power), offset, ids, wanted, attend, labels[::2])

    def _fill(self, rng: random.Random, power: np.ndarray, labels: np.ndarray) -> tuple[list[Segment], float]:
        """Lays sentences into the window one after another; gives them and the frame at which the next would begin."""
        frames = len(power)
        at = int(
            rng.choice(
                [
                    rng.uniform(0, 15),
                    rng.uniform(0, 60),
                    rng.uniform(0, 250),
                    rng.uniform(0, 600 if frames > 1500 else 0),
                ]
            )
        )
        latest = frames
        if self.long_tails and rng.random() >= 0.35:  # nothing begins after this: the rest stays silent
            latest = rng.randint(150, frames)
            if latest < frames and rng.random() < 0.7:
                at = min(at, rng.randint(0, 120))
        segments: list[Segment] = []
        first = True
        while at < frames - 60 and (first or at < latest):
            voiced = rng.choice(self.utterances)
            gain = 10 ** (rng.uniform(-6, 3) / 10) if rng.random() < 0.5 else 1.0
            cut = rng.randint(10, max(11, int(voiced.frames) - 50)) if first and rng.random() < 0.12 else 0
            first = False
            length = voiced.frames - cut
            runs_over = at + length > frames - 1
            if runs_over and rng.random() < 0.5:
                break
            source = cut + LEAD_FRAMES if cut else max(0, LEAD_FRAMES - at)
            target = at if cut else max(0, at - LEAD_FRAMES)
            count = min(len(voiced.power) - source, frames - target)
            power[target : target + count] += gain * voiced.power[source : source + count]
            labels[target : target + count] = voiced.labels[source : source + count]
            if runs_over:
                segments.append(Segment(at, None))
                break
            starts = voiced.word_starts - cut + at
            ends = np.append(starts[1:], at + length)
            whole = [i for i in range(len(starts)) if starts[i] >= at - 3]
            if whole:
                spans = [(starts[i], ends[i]) for i in whole]
                segments.append(Segment(at, at + length, [voiced.ids[i] for i in whole], spans))
            kind = rng.random()
            pause = rng.uniform(12, 60) if kind < 0.6 else rng.uniform(60, 250) if kind < 0.9 else rng.uniform(250, 900)
            at = int(at + length + pause)
            if frames < 600 and rng.random() < 0.3:
                break
        return segments, at

    def _noise(self, rng: random.Random, frames: int) -> np.ndarray:
        noise = rng.choice(self.backgrounds)
        start = rng.randrange(len(noise) - frames)
        return noise[start : start + frames] * np.float32((10 ** rng.uniform(-4.6, -1.8)) ** 2)

    def _tone(self, rng: random.Random) -> np.ndarray:
        """A gain a mel bin: louder or softer, brighter or darker, with a ripple."""
        place = np.linspace(-1, 1, MELS)
        ripple = np.cos(np.pi * (place + rng.random()) * rng.choice([1, 2, 3]))
        decibels = rng.uniform(-6, 6) * place + rng.uniform(-3, 3) * ripple + rng.uniform(-20, 6)
        return (10 ** (decibels / 10)).astype(np.float32)

    def _script(self, rng: random.Random, segments: list[Segment], offset: int):
        """What the decoder is fed, what it should say, and where in the sound that shows."""
        t = self.tokens
        without = rng.random() < 0.35

        def stamp(frame: float) -> int:
            return t.first_timestamp + min(LAST_TIMESTAMP, max(0, round(frame / 2) + offset))

        said: list[tuple[int, tuple[float, float]]] = []
        for segment in segments:
            if not without:
                said.append((stamp(segment.start), (segment.start - 12, segment.start + 14)))
            said += [(token, (start - 6, end + 6)) for token, (start, end) in zip(segment.ids, segment.spans)]
            if not without and segment.end is not None:
                said.append((stamp(segment.end), (segment.end - 14, segment.end + 12)))
        ids = [t.start, t.english, t.transcribe]
        wanted = [t.english if segments else t.no_speech, t.transcribe]
        attend = [_NOWHERE, _NOWHERE]
        if without:
            ids, wanted, attend = [*ids, t.no_timestamps], [*wanted, t.no_timestamps], [*attend, _NOWHERE]
        elif not segments and rng.random() < 0.5:  # the rules force a first timestamp even where there is nothing
            ids, wanted, attend = [*ids, stamp(0)], [*wanted, -100], [*attend, _NOWHERE]
        ids += [token for token, _ in said]
        wanted += [token for token, _ in said] + [t.end]
        attend += [(start / 2, end / 2) for _, (start, end) in said] + [_NOWHERE]
        return ids, wanted, attend


class Batches(Dataset):
    """Batches by number; `plan[i]` is the frames and windows of batch `i`."""

    def __init__(self, composer: Composer, plan: list[tuple[int, int]], seed: int) -> None:
        self.composer, self.plan, self.seed = composer, plan, seed

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> Batch:
        rng = random.Random(self.seed * 1_000_003 + number)
        frames, count = self.plan[number]
        windows = [self.composer.window(rng, frames) for _ in range(count)]
        longest = max(len(w.ids) for w in windows)
        ids = torch.full((count, longest), self.composer.tokens.end)
        labels, attend = torch.full((count, longest), -100), torch.full((count, longest, 2), -1.0)
        for i, w in enumerate(windows):
            ids[i, : len(w.ids)] = torch.tensor(w.ids)
            labels[i, : len(w.labels)] = torch.tensor(w.labels)
            attend[i, : len(w.attend)] = torch.tensor(w.attend, dtype=torch.float32)
        return Batch(
            torch.from_numpy(np.stack([w.features for w in windows])),
            torch.tensor([w.offset for w in windows]),
            ids,
            labels,
            attend,
            torch.from_numpy(np.stack([w.phonemes for w in windows])),
        )
