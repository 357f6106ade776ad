"""Makes test/fixtures/sample/sample.mp4 and its ground truth, sample.json.

    python -m tools.sample.make_sample

Needs ffmpeg, espeak-ng, numpy and Pillow. Everything is seeded: the same versions of these give the same bytes.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tools.tiny_clip.drawings import draw
from tools.tiny_whisper import grammar

from .plan import (
    DURATION,
    FPS,
    HEIGHT,
    PICTURES,
    QUESTIONS,
    SAMPLE_RATE,
    SENTENCES,
    SOUNDS,
    TITLES,
    WIDTH,
    Picture,
    Question,
    Title,
)

OUT = Path(__file__).parents[2] / "test" / "fixtures" / "sample"
_MARGIN = 0.1  # how much larger than the frame a scene is drawn, so that the camera can drift


# --- pictures ---


def _text(image: Image.Image, text: str, centre: tuple[float, float], size: int, colour: str) -> None:
    font = ImageFont.load_default(size)
    ImageDraw.Draw(image).text(centre, text, font=font, fill=colour, anchor="mm")


def title_card(text: str) -> Image.Image:
    """Large text on an empty dark card."""
    card = Image.new("RGB", (WIDTH, HEIGHT), (24, 34, 62))
    _text(card, text, (WIDTH / 2, HEIGHT / 2), 40, "white")
    return card


def add_lower_title(frame: Image.Image, text: str) -> None:
    """Small text on a dark strip near the lower edge."""
    ImageDraw.Draw(frame).rectangle([WIDTH / 2 - 110, HEIGHT - 42, WIDTH / 2 + 110, HEIGHT - 14], fill=(20, 20, 28))
    _text(frame, text, (WIDTH / 2, HEIGHT - 28), 20, "white")


def camera(scene: Image.Image, picture: Picture, at: float) -> Image.Image:
    """The frame the drifting camera sees, `at` running from 0 at the picture's start to 1 at its end."""
    scale = (1 - picture.zoom * (at - 0.5)) * (1 - _MARGIN)
    width, height = scene.width * scale, scene.height * scale
    left = (scene.width - width) / 2 + picture.pan[0] * (at - 0.5) * scene.width
    top = (scene.height - height) / 2 + picture.pan[1] * (at - 0.5) * scene.height
    return scene.resize((WIDTH, HEIGHT), Image.BILINEAR, box=(left, top, left + width, top + height))


def frames():
    """Every frame of the video, in order."""
    titles: list[Title] = TITLES
    scene, shown = None, None
    for number in range(round(DURATION * FPS)):
        t = number / FPS
        picture = next(p for p in PICTURES if p.start <= t < p.end)
        title = next((x for x in titles if x.start <= t < x.end), None)
        if picture.scene is None:
            yield title_card(title.text)
            continue
        if picture is not shown:  # twice the size needed: the camera's scaling then smooths the edges
            grown = [round(v * 2 * (1 + _MARGIN)) for v in (WIDTH, HEIGHT)]
            scene, shown = draw(picture.scene, random.Random(picture.seed), *grown), picture
        frame = camera(scene, picture, (t - picture.start) / (picture.end - picture.start))
        if title:
            add_lower_title(frame, title.text)
        yield frame


# --- sound ---


def speak(text: str, voice: str, words_per_minute: int) -> np.ndarray:
    """A sentence as espeak-ng says it, cut to what is audible, its peak at one half."""
    command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "--stdout", text]
    with wave.open(io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout)) as file:
        assert file.getframerate() == SAMPLE_RATE
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64)
    loud = np.nonzero(np.abs(samples) > 0.008 * np.abs(samples).max())[0]
    samples = samples[loud[0] : loud[-1] + 1]
    return samples / np.abs(samples).max() * 0.5


def _coloured_noise(seconds: float, seed: int) -> np.ndarray:
    """Noise that falls with the square root of frequency, at a mean level of 1."""
    white = np.random.default_rng(seed).normal(size=round(seconds * SAMPLE_RATE))
    hz = np.fft.rfftfreq(len(white), 1 / SAMPLE_RATE)
    shaped = np.fft.irfft(np.fft.rfft(white) * np.maximum(hz, 40.0) ** -0.5, len(white))
    return shaped / shaped.std()


def waves(seconds: float) -> np.ndarray:
    """Noise that swells every three seconds, faded in and out."""
    sound = _coloured_noise(seconds, 5)
    t = np.arange(len(sound)) / SAMPLE_RATE
    sound *= (1 + 0.7 * np.sin(2 * np.pi * t / 3)) * np.clip(np.minimum(t, seconds - t), 0, 1)
    return sound * 0.006


def hum(seconds: float) -> np.ndarray:
    """Mains hum, 50 Hz and its overtones, and a little noise."""
    noise = _coloured_noise(seconds, 7)
    t = np.arange(len(noise)) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * 50 * k * t + k) / k for k in range(1, 12))
    return (tone / tone.std() + 0.3 * noise) * 0.012


def soundtrack() -> tuple[np.ndarray, list[dict]]:
    """The whole sound, and every sentence with the seconds it starts and ends at."""
    track = np.zeros(round(DURATION * SAMPLE_RATE))

    def add(start: float, samples: np.ndarray) -> None:
        first = round(start * SAMPLE_RATE)
        track[first : first + len(samples)] += samples

    for sound in SOUNDS:
        add(sound.start, {"waves": waves, "hum": hum}[sound.kind](sound.end - sound.start))
    spoken = []
    for sentence in SENTENCES:
        assert grammar.knows(sentence.text), sentence.text
        samples = speak(sentence.text, sentence.voice, sentence.words_per_minute)
        add(sentence.start, samples)
        end = round(sentence.start + len(samples) / SAMPLE_RATE, 2)
        assert not spoken or spoken[-1]["end"] < sentence.start, sentence.text
        spoken.append({"start": sentence.start, "end": end, "text": sentence.text, "voice": sentence.voice})
    return track, spoken


# --- ground truth and files ---


def answer(question: Question, spoken: list[dict]) -> dict:
    """A question with the one span that answers it: where its picture is shown, its sentence said, or both hold."""
    spans = []
    if question.seen:
        matches = [p for p in PICTURES if p.caption == question.seen]
        assert len(matches) == 1 or question.occurrence, question.query
        picture = matches[(question.occurrence or 1) - 1]
        spans.append((picture.start, picture.end))
    if question.said:
        (sentence,) = [s for s in spoken if s["text"].startswith(question.said)]
        spans.append((sentence["start"], sentence["end"]))
    start, end = max(s[0] for s in spans), min(s[1] for s in spans)
    assert start < end, question.query
    entry = {"query": question.query, "kind": question.kind, "start": start, "end": end}
    if question.seen:
        entry["seen"] = question.seen
    if question.said:
        entry["said"] = sentence["text"]
    return entry


def ground_truth(spoken: list[dict]) -> dict:
    """Everything sample.json says."""
    edges = sorted([(s["start"], s["end"]) for s in spoken] + [(s.start, s.end) for s in SOUNDS])
    silences, reached = [], 0.0
    for start, end in [*edges, (DURATION, DURATION)]:
        if start - reached >= 15:
            silences.append({"start": round(reached, 2), "end": start})
        reached = max(reached, end)
    still = [p for p in PICTURES if p.scene and p.pan == (0, 0) and p.zoom == 0 and p.end - p.start >= 20]
    return {
        "file": "sample.mp4",
        "duration": DURATION,
        "scenes": [{"start": p.start, "end": p.end, "caption": p.caption} for p in PICTURES],
        "titles": [{"start": t.start, "end": t.end, "text": t.text} for t in TITLES],
        "sentences": spoken,
        "sounds": [{"start": s.start, "end": s.end, "kind": s.kind} for s in SOUNDS],
        "silences": silences,
        "stills": [{"start": p.start, "end": p.end} for p in still],
        "questions": [answer(question, spoken) for question in QUESTIONS],
    }


def encode(track: np.ndarray, out: Path) -> None:
    """Writes the video: frames through a pipe, sound from a temporary file."""
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound.wav"
        with wave.open(str(sound), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes((np.clip(track, -1, 1) * 32767).astype("<i2").tobytes())
        command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}"]
        command += ["-r", str(FPS), "-i", "-", "-i", str(sound), "-map", "0:v", "-map", "1:a"]
        command += ["-c:v", "libx264", "-preset", "slow", "-crf", "26", "-pix_fmt", "yuv420p", "-threads", "1"]
        command += ["-c:a", "aac", "-b:a", "48k", "-ac", "1", "-map_metadata", "-1", "-movflags", "+faststart"]
        command += ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", str(out)]
        encoder = subprocess.Popen(command, stdin=subprocess.PIPE)
        for frame in frames():
            encoder.stdin.write(frame.tobytes())
        encoder.stdin.close()
        if encoder.wait() != 0:
            raise SystemExit("ffmpeg failed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to")
    folder: Path = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    track, spoken = soundtrack()
    truth = ground_truth(spoken)
    (folder / "sample.json").write_text(json.dumps(truth, indent=2) + "\n")
    encode(track, folder / "sample.mp4")
    print(f"sample.mp4: {(folder / 'sample.mp4').stat().st_size / 1e6:.2f} MB, {len(truth['questions'])} questions")


if __name__ == "__main__":
    main()
