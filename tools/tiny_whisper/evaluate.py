"""Measures an exported tiny Whisper on sentences it never trained on (onnxruntime; no PyTorch)."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from . import grammar
from .features import SAMPLE_RATE
from .synthesize import Utterance, load
from .transcribe import OnnxWhisper, Segment

WINDOW = 30


def edits(said: list[str], heard: list[str]) -> int:
    """Fewest insertions, deletions and substitutions between two word lists (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, a in enumerate(said, 1):
        previous, row = row, [i]
        for j, b in enumerate(heard, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (a != b)))
    return row[-1]


def _sound(utterance: Utterance) -> np.ndarray:
    return utterance.wave.astype(np.float32) / 32768


def full_window(utterances: list[Utterance], rng: random.Random) -> tuple[np.ndarray, list[Segment]]:
    """Thirty seconds of sentences with pauses, most windows with noise, and what is said when."""
    sound, at, segments = np.zeros(WINDOW * SAMPLE_RATE, np.float32), rng.uniform(0.05, 2.0), []
    while True:
        utterance = rng.choice(utterances)
        wave = _sound(utterance)
        if at + utterance.seconds > WINDOW - 0.1:
            break
        first = int(at * SAMPLE_RATE)
        sound[first : first + len(wave)] += wave * 10 ** (rng.uniform(-4, 2) / 20)
        segments.append(Segment(at, at + utterance.seconds, utterance.text))
        at += utterance.seconds + (rng.uniform(0.2, 0.8) if rng.random() < 0.7 else rng.uniform(0.8, 4))
    if rng.random() < 0.8:
        noise = np.random.default_rng(rng.getrandbits(32)).normal(size=len(sound))
        sound += (noise * 10 ** rng.uniform(-4, -2)).astype(np.float32)
    return sound / max(1, np.abs(sound).max()) * 0.95, segments


def padded_sentences(utterances: list[Utterance], rng: random.Random, count: int) -> tuple[np.ndarray, list[Segment]]:
    """A few sentences at a window's start, then nothing."""
    sound, at, segments = np.zeros(WINDOW * SAMPLE_RATE, np.float32), rng.uniform(0.1, 1), []
    for utterance in rng.sample(utterances, count):
        wave, first = _sound(utterance), int(at * SAMPLE_RATE)
        sound[first : first + len(wave)] += wave
        segments.append(Segment(at, at + utterance.seconds, utterance.text))
        at += utterance.seconds + rng.uniform(0.3, 0.8)
    return sound, segments


def through_aac(sound: np.ndarray) -> np.ndarray:
    """The sound after AAC at 64 kbit/s."""
    raw = ["-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "1"]
    packed = _ffmpeg(
        [*raw, "-i", "-", "-c:a", "aac", "-b:a", "64k", "-ar", "44100", "-f", "adts", "-"],
        sound.astype("<f4").tobytes(),
    )
    return np.frombuffer(_ffmpeg(["-f", "aac", "-i", "-", *raw, "-"], packed), np.float32)[: WINDOW * SAMPLE_RATE]


def command_line_window(texts: list[str], voice: str) -> tuple[np.ndarray, list[Segment]]:
    """Eight sentences as the espeak-ng command says them, as many as fit."""
    pieces, segments, at = [], [], 0.0
    for text in texts:
        spoken = subprocess.run(
            ["espeak-ng", "-v", voice, "-s", "160", "--stdout", text], capture_output=True, check=True
        ).stdout
        raw = _ffmpeg(["-f", "wav", "-i", "-", "-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-"], spoken)
        sound = np.frombuffer(raw, np.float32)
        if at + len(sound) / SAMPLE_RATE + 0.4 > WINDOW:
            break
        pieces += [sound, np.zeros(round(0.4 * SAMPLE_RATE), np.float32)]
        segments.append(Segment(at, at + len(sound) / SAMPLE_RATE, text))
        at += len(sound) / SAMPLE_RATE + 0.4
    return np.concatenate(pieces), segments


def _ffmpeg(arguments: list[str], data: bytes) -> bytes:
    return subprocess.run(["ffmpeg", "-v", "error", *arguments], input=data, capture_output=True, check=True).stdout


def measure(whisper: OnnxWhisper, windows: Iterable[tuple[np.ndarray, list[Segment]]], timestamps: bool = True) -> dict:
    """Word errors, windows with the right number of segments, and in those how far starts and ends are off."""
    wrong = words = right_count = total = 0
    off: list[float] = []
    for sound, said in windows:
        heard = whisper.transcribe(sound, timestamps)
        true = " ".join(s.text for s in said).split()
        wrong += edits(true, " ".join(h.text for h in heard).split())
        words += len(true)
        total += 1
        if len(heard) == len(said):
            right_count += 1
            pairs = [(a, b) for h, s in zip(heard, said) for a, b in ((h.start, s.start), (h.end, s.end))]
            off += [abs(a - b) for a, b in pairs if a is not None]
    return {"errors": wrong / words, "words": words, "right_count": right_count, "windows": total, "off": off}


def evaluate(data: Path, folder: Path, scale: float = 1.0) -> None:
    """Prints every figure; `scale` < 1 measures on fewer windows."""
    whisper = OnnxWhisper(folder)
    test, unheard = load(data, "test"), load(data, "unheard")

    def times(count: int) -> range:
        return range(max(1, round(count * scale)))

    def note(name: str, found: dict) -> None:
        off = (
            f", off by {np.mean(found['off']) * 1000:.0f} ms, 95% in {np.percentile(found['off'], 95) * 1000:.0f} ms"
            if found["off"]
            else ""
        )
        print(
            f"{name}: word error rate {found['errors']:.1%} of {found['words']}, right number of segments in "
            f"{found['right_count']} of {found['windows']} windows{off}",
            flush=True,
        )

    rng = random.Random(3)
    note("full windows", measure(whisper, (full_window(test, rng) for _ in times(40))))
    for count in (1, 3):
        rng = random.Random(8)
        note(f"{count} padded", measure(whisper, (padded_sentences(test, rng, count) for _ in times(40))))
    rng = random.Random(8)
    aac = ((through_aac(sound), said) for sound, said in (full_window(test, rng) for _ in times(12)))
    note("after AAC", measure(whisper, aac))
    _, texts = grammar.split(0)
    for voice in ("en-us", "en-gb", "en-us+m3", "en-us+f3"):
        rng = random.Random(4)
        spoken = (command_line_window(rng.sample(texts, 8), voice) for _ in times(6))
        note(f"espeak-ng command, {voice}", measure(whisper, spoken))
    rng = random.Random(3)
    note("unheard voices", measure(whisper, (full_window(unheard, rng) for _ in times(15))))
    rng = random.Random(4)
    note("without timestamps", measure(whisper, (full_window(test, rng) for _ in times(15)), timestamps=False))
    invented = sum(bool(whisper.transcribe(_quiet(i))) for i in times(20))
    print(f"silence and noise: words in {invented} of {len(times(20))} windows", flush=True)


def _quiet(number: int) -> np.ndarray:
    """Silence first, then white noise of any level."""
    rng = np.random.default_rng(number)
    level = 0 if number == 0 else 10 ** rng.uniform(-4.5, -1.7)
    return (rng.normal(size=WINDOW * SAMPLE_RATE) * level).astype(np.float32)
