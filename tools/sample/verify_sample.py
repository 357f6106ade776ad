"""Checks the sample video against the bundled tiny models: prints every figure, fails when one is not as it must be.

    python -m tools.sample.verify_sample

- Pictures: at one frame a second, each thing to be seen has its best frame inside its span, and the best frame outside
  it scores lower by at least 0.1 (cosine); for the whole of a 'both' question the margin is only printed.
- Speech: every sentence comes out word for word, alone, in fixed 30-second windows, and in windows packed with what
  lies between pauses; where nothing is said, nothing is transcribed.
- Words: each thing said is found by its words alone (BM25 over the sentences).

Needs ffmpeg, numpy, Pillow, onnxruntime and tokenizers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
from tools.tiny_clip.embed import OnnxClip
from tools.tiny_whisper.features import SAMPLE_RATE
from tools.tiny_whisper.transcribe import OnnxWhisper, Segment

ROOT = Path(__file__).parents[2]
MARGIN = 0.1
FILLERS = set(
    "a an the is are on in at of to do does did it we you they while and there when where who what say said".split()
)


class Report:
    """Counts what holds and what does not."""

    def __init__(self) -> None:
        self.failures = 0

    def line(self, good: bool, text: str) -> None:
        self.failures += not good
        print(("ok    " if good else "WRONG ") + text)


def video_frames(file: Path, side: int) -> np.ndarray:
    """One frame a second, the middle square at the model's size, [n, side, side, 3]."""
    scale = f"fps=1:round=down:start_time=0,scale=-2:{side}:flags=bicubic,crop={side}:{side}"
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-vf", scale, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, side, side, 3)


def audio(file: Path) -> np.ndarray:
    """The sound as the product hears it: 16 kHz mono."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-vn", "-f", "f32le", "-ac", "1", "-ar", str(SAMPLE_RATE), "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.float32)


def check_pictures(truth: dict, vectors: np.ndarray, clip: OnnxClip, report: Report, title: str) -> None:
    """Every caption, 'seen' question and 'both' question against every second of the video."""
    print(f"\n{title}: cosine of the best frame inside, of the best outside, and the margin")
    seconds = np.arange(len(vectors))
    scenes = truth["scenes"]

    def inside_scenes(caption: str) -> np.ndarray:
        spans = [s for s in scenes if s["caption"] == caption]
        return np.any([(seconds >= s["start"]) & (seconds < s["end"]) for s in spans], axis=0)

    shown = dict.fromkeys(s["caption"] for s in scenes if s["caption"] != "a title card")
    asked = [("caption", caption, caption) for caption in shown]
    asked += [(q["kind"], q["query"], q["seen"]) for q in truth["questions"] if "seen" in q]
    worst = math.inf
    for (kind, text, caption), vector in zip(asked, clip.embed_texts([text for _, text, _ in asked])):
        cosines, inside = vectors @ vector, inside_scenes(caption)
        best, other = cosines[inside].max(), cosines[~inside].max()
        weakest = cosines[inside].min()
        line = f"{kind:8}{best:6.2f}{other:6.2f}{best - other:7.2f}  weakest inside {weakest:.2f}  {text!r}"
        if kind == "both":  # the words said are noise to CLIP, so this only informs
            print("      " + line)
            continue
        worst = min(worst, best - other)
        report.line(best - other >= MARGIN, line)
    print(f"smallest margin {worst:.2f}")


def pack_windows(
    sentences: list[dict], sound: np.ndarray, seconds: float, pad: float
) -> list[tuple[np.ndarray, list[str]]]:
    """Sentences back to back, each with `pad` seconds about it, as many as fit: how a transcriber skips silence."""
    windows, pieces, texts, used = [], [], [], 0.0
    for sentence in sentences:
        start, end = max(0.0, sentence["start"] - pad), sentence["end"] + pad
        if used + (end - start) > seconds:
            windows.append((np.concatenate(pieces), texts))
            pieces, texts, used = [], [], 0.0
        pieces.append(sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)])
        texts.append(sentence["text"])
        used += end - start
    return [*windows, (np.concatenate(pieces), texts)]


def check_speech(truth: dict, sound: np.ndarray, whisper: OnnxWhisper, report: Report) -> None:
    """Every sentence, three ways."""
    sentences, window = truth["sentences"], whisper.window_seconds
    errors: list[float] = []

    def cut(start: float, end: float) -> np.ndarray:
        return sound[round(max(0, start) * SAMPLE_RATE) : round(end * SAMPLE_RATE)]

    print("\nspeech, fixed windows of 30 s (a sentence that crosses a border is not asked for)")
    for first in np.arange(0, truth["duration"], window):
        heard = whisper.transcribe(cut(first, first + window))
        whole = [s for s in sentences if s["start"] >= first and s["end"] <= first + window]
        crossing = [s for s in sentences if s["start"] < first + window < s["end"] or s["start"] < first < s["end"]]
        texts = [h.text for h in heard]
        for sentence in whole:
            match = next((h for h in heard if h.text == sentence["text"]), None)
            good = match is not None
            if good:
                errors += _time_errors(match, sentence, first)
            note = (
                f" off by {[round(e * 1000) for e in _time_errors(match, sentence, first)]} ms"
                if good
                else f" heard {texts}"
            )
            report.line(good, f"{sentence['start']:7.2f}  {sentence['text']!r}{note}")
        report.line(len(heard) <= len(whole) + len(crossing), f"{first:7.2f}  nothing invented ({len(heard)} segments)")
    print(f"start and end off by {np.mean(errors) * 1000:.0f} ms on average, {np.max(errors) * 1000:.0f} ms at most")

    print("\nspeech, each sentence alone with a quarter second about it")
    for s in sentences:
        heard = [h.text for h in whisper.transcribe(cut(s["start"] - 0.25, s["end"] + 0.25))]
        report.line(
            heard == [s["text"]],
            f"{s['start']:7.2f}  {s['text']!r}" + ("" if heard == [s["text"]] else f" heard {heard}"),
        )

    print("\nspeech, packed windows: seconds kept about a sentence, longest window, sentences in each window")
    for pad, longest in itertools.product((0.1, 0.2, 0.3, 0.4), (window - 1, 20.0)):
        for samples, texts in pack_windows(sentences, sound, longest, pad):
            heard = [h.text for h in whisper.transcribe(samples)]
            wrong = "" if heard == texts else f"\n  said  {texts}\n  heard {heard}"
            report.line(heard == texts, f"{pad} {longest:.0f} {len(texts)}{wrong}")

    print("\nno speech")
    quiet = [("silence", s) for s in truth["silences"]] + [(s["kind"], s) for s in truth["sounds"]]
    for kind, span in quiet:
        heard = [h.text for h in whisper.transcribe(cut(span["start"], span["end"]))]
        report.line(not heard, f"{kind} from {span['start']} to {span['end']}: heard {heard}")


def _time_errors(heard: Segment, sentence: dict, first: float) -> list[float]:
    pairs = [(heard.start, sentence["start"]), (heard.end, sentence["end"])]
    return [abs(at + first - true) for at, true in pairs if at is not None]


def _words(text: str) -> list[str]:
    """Content words, plural and third person cut."""
    return [word.removesuffix("s") for word in text.split() if word not in FILLERS]


def check_words(truth: dict, report: Report) -> None:
    """Each thing said is the sentence that BM25 (k1 1.2, b 0.75) ranks first for its question, alone."""
    print("\nwords: BM25 of the right sentence and of the best other")
    documents = [_words(s["text"]) for s in truth["sentences"]]
    mean_length = np.mean([len(d) for d in documents])
    holding = Counter(word for d in documents for word in set(d))

    def score(query: list[str], document: list[str]) -> float:
        total = 0.0
        for word in query:
            n, count = holding[word], document.count(word)
            rarity = math.log(1 + (len(documents) - n + 0.5) / (n + 0.5))
            total += rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(document) / mean_length))
        return total

    for question in truth["questions"]:
        if "said" not in question:
            continue
        scores = [score(_words(question["query"]), d) for d in documents]
        right = [s["text"] for s in truth["sentences"]].index(question["said"])
        other = max(v for i, v in enumerate(scores) if i != right)
        line = f"{question['kind']:6}{scores[right]:6.2f}{other:6.2f}  {question['query']!r}"
        if question["kind"] == "both":  # the picture decides between sentences that share words
            report.line(scores[right] >= other - 0.3, line)
        else:
            report.line(scores[right] > other, line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=Path, default=ROOT / "test/fixtures/sample")
    parser.add_argument("--models", type=Path, default=ROOT / "models/tiny")
    options = parser.parse_args()
    truth = json.loads((options.sample / "sample.json").read_text())
    file, report = options.sample / truth["file"], Report()
    for suffix, title in (("", "pictures"), ("_quantized", "pictures, int8 models")):
        clip = OnnxClip(options.models / "clip", suffix)
        check_pictures(truth, clip.embed_pictures(video_frames(file, clip.side)), clip, report, title)
    check_speech(truth, audio(file), OnnxWhisper(options.models / "whisper"), report)
    check_words(truth, report)
    print(f"\n{report.failures} wrong")
    raise SystemExit(report.failures > 0)


if __name__ == "__main__":
    main()
