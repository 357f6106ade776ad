"""Speaks the sentences of the grammar in many voices and keeps what training needs of each: mel power and times."""

from __future__ import annotations

import pickle
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from . import grammar
from .espeak import Espeak, Speech
from .features import HOP, POWER_FLOOR, SAMPLE_RATE, WINDOW, mel_power

TRAINING_UTTERANCES = 16_000
LEAD_FRAMES = 2  # silent frames kept before and after an utterance

# Names repeat to be likelier.
ACCENTS = (
    ["en-us"] * 8
    + ["en"] * 5
    + ["en-gb-x-rp"] * 2
    + ["en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc"]
)
SPEAKERS = (
    [""] * 6
    + [f"+m{i}" for i in range(1, 9)] * 2
    + [f"+f{i}" for i in range(1, 6)] * 3
    + "+Andy +Annie +Alex +Alicia +linda +Michael +rob +steph +caleb +paul +Diogo +Marco +Lee +benjamin "
    "+belinda +victor".split()
)
UNHEARD_SPEAKERS = "+Denis +anika +travis +steph3 +david +Henrique".split()


@dataclass
class Utterance:
    """One spoken sentence. Times are seconds from the first audible sample."""

    text: str
    seconds: float
    word_starts: np.ndarray
    phonemes: list[tuple[float, str]]
    log_power: np.ndarray  # [frames, 80] float16: log10 of mel power, LEAD_FRAMES of silence first
    wave: np.ndarray | None = None  # 16-bit samples; kept for test sentences only


def speak(espeak: Espeak, text: str, rng: random.Random, speakers: list[str], keep_wave: bool = False) -> Utterance:
    """Says `text` in a random voice, speed and pitch."""
    voice = rng.choice(ACCENTS) + rng.choice(speakers)
    speech = espeak.say(text, voice, rng.randint(130, 200), rng.randint(25, 75), rng.randint(30, 80))
    scale = SAMPLE_RATE / espeak.sample_rate
    wave = resample_poly(speech.samples, SAMPLE_RATE, espeak.sample_rate).astype(np.float32)
    audible = np.nonzero(np.abs(wave) > 0.008 * np.abs(wave).max())[0]
    first, last = audible[0], audible[-1] + 1
    wave = wave[first:last] * (0.5 / np.abs(wave).max())

    def seconds(sample: int) -> float:
        return max(0.0, sample * scale - first) / SAMPLE_RATE

    frames = int(np.ceil(len(wave) / HOP)) + 2 * LEAD_FRAMES
    padded = np.zeros(frames * HOP + WINDOW, np.float32)
    start = WINDOW // 2 + LEAD_FRAMES * HOP
    padded[start : start + len(wave)] = wave
    log_power = np.log10(np.maximum(mel_power(padded, frames), POWER_FLOOR)).astype(np.float16)
    return Utterance(
        text,
        len(wave) / SAMPLE_RATE,
        _word_starts(text, speech, seconds, len(wave) / SAMPLE_RATE),
        [(seconds(sample), name) for name, sample in speech.phonemes],
        log_power,
        np.round(wave * 32767).astype(np.int16) if keep_wave else None,
    )


def _word_starts(text: str, speech: Speech, seconds, duration: float) -> np.ndarray:
    """When each word begins. Small words that espeak runs into one event are spread between their neighbours."""
    position, spans = 1, []
    for word in text.split():
        spans.append((position, position + len(word) - 1))
        position += len(word) + 1
    known: dict[int, float] = {0: 0.0, len(spans): duration}
    for at, sample in speech.words:
        for i, (first, last) in enumerate(spans):
            if first <= at <= last:
                known[i] = seconds(sample)
    starts = np.interp(np.arange(len(spans)), sorted(known), [known[i] for i in sorted(known)])
    return starts.astype(np.float32)


def synthesize(folder: Path, seed: int = 1, count: int = TRAINING_UTTERANCES) -> None:
    """Writes train.pkl; and of held-out sentences test.pkl (known voices) and unheard.pkl (unknown voices)."""
    folder.mkdir(parents=True, exist_ok=True)
    espeak = Espeak()
    train, test = grammar.split(count)
    sets = [
        ("test", test, SPEAKERS, True),
        ("unheard", test[:200], UNHEARD_SPEAKERS, True),
        ("train", train, SPEAKERS, False),
    ]
    for name, texts, speakers, keep_wave in sets:
        rng = random.Random(f"{seed} {name}")
        utterances = []
        for i, text in enumerate(texts):
            utterances.append(speak(espeak, text, rng, speakers, keep_wave))
            if i % 2000 == 1999:
                print(f"{name}: {i + 1} of {len(texts)}", flush=True)
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(utterances))
        print(f"{name}: {len(texts)} utterances", flush=True)


def load(folder: Path, name: str) -> list[Utterance]:
    """Utterances written by `synthesize` (our own pickle: never load one from elsewhere)."""
    return pickle.loads((folder / f"{name}.pkl").read_bytes())
