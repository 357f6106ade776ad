"""Makes a folder of videos with exact ground truth, for `npm run eval`.

    python -m tools.library.make_library --out build/library --seed 1 --minutes 120

Needs ffmpeg, espeak-ng, numpy and Pillow. Everything is seeded: the same versions of these give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from tools.sample.make_sample import hum, speak, waves
from tools.sample.plan import SAMPLE_RATE
from tools.tiny_clip.drawings import draw

from .plan import FPS, Hidden, Shot, Speaker, Spoken, Video, ask, plan_videos

_MARGIN = 0.08  # how much larger than the frame a moving scene is drawn


def frames(video: Video):
    """Every frame in order, as bytes of RGB."""
    width, height = video.size
    for shot in video.shots:
        grown = (width, height) if shot.is_still else tuple(round(v * (1 + _MARGIN)) for v in video.size)
        scene = draw(shot.spec, random.Random(shot.seed), *grown)
        count = round((shot.end - shot.start) * FPS)
        if shot.is_still:
            still = scene.tobytes()
            yield from (still for _ in range(count))
        else:
            yield from (_camera(scene, shot, i / max(1, count - 1), video.size).tobytes() for i in range(count))


def _camera(scene: Image.Image, shot: Shot, at: float, size: tuple[int, int]) -> Image.Image:
    scale = (1 - shot.zoom * (at - 0.5)) * (1 - _MARGIN)
    width, height = scene.width * scale, scene.height * scale
    left = (scene.width - width) / 2 + shot.pan[0] * (at - 0.5) * scene.width
    top = (scene.height - height) / 2 + shot.pan[1] * (at - 0.5) * scene.height
    return scene.resize(size, Image.BILINEAR, box=(left, top, left + width, top + height))


def soundtrack(video: Video, rng: random.Random, speaker: Speaker) -> tuple[np.ndarray, list[Spoken]]:
    """The sound of a video and what is spoken in it."""
    track = np.zeros(round(video.duration * SAMPLE_RATE))
    spoken: list[Spoken] = []

    def add(start: float, samples: np.ndarray) -> None:
        first = round(start * SAMPLE_RATE)
        track[first : first + len(samples)] += samples[: len(track) - first]

    for start, end, kind in video.noise:
        add(start, {"waves": waves, "hum": hum}[kind](min(end, video.duration) - start))
    at = rng.uniform(0.5, 4)
    while video.speaks:
        sentence = speaker.sentence(round(at, 2))
        samples = speak(sentence.text, sentence.voice, sentence.words_per_minute) * rng.uniform(0.5, 1)
        end = sentence.start + len(samples) / SAMPLE_RATE
        if end > video.duration - 0.5:
            break
        add(sentence.start, samples)
        spoken.append(Spoken(sentence, round(end, 2)))
        # Now and then nobody speaks for long.
        at = end + (rng.uniform(15, 60) if rng.random() < 0.04 else rng.uniform(*video.gap))
    return track, spoken


def render(video: Video, track: np.ndarray, out: Path) -> None:
    width, height = video.size
    with tempfile.NamedTemporaryFile(suffix=".wav") as sound:
        with wave.open(sound.name, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes((np.clip(track, -1, 1) * 32767).astype("<i2").tobytes())
        command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        command += ["-r", str(FPS), "-i", "-", *(["-i", sound.name] if video.has_sound else [])]
        command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-g", str(10 * FPS), "-threads", "1"]
        command += ["-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k", "-movflags", "+faststart", "-bitexact"]
        process = subprocess.Popen([*command, str(out)], stdin=subprocess.PIPE)
        for frame in frames(video):
            process.stdin.write(frame)
        process.stdin.close()
        if process.wait() != 0:
            raise RuntimeError(f"ffmpeg could not write {out}")


def make(out: Path, seed: int, minutes: float, counts: dict[str, int]) -> None:
    rng = random.Random(f"library {seed}")
    hidden = Hidden.draw(rng)
    videos = plan_videos(rng, minutes, hidden)
    speaker = Speaker(rng)
    out.mkdir(parents=True, exist_ok=True)
    spoken: dict[str, list[Spoken]] = {}
    with ThreadPoolExecutor(1) as background:
        rendering = []
        for video in videos:
            track, spoken[video.name] = soundtrack(video, rng, speaker)
            rendering.append(background.submit(render, video, track, out / video.name))
        questions = ask(rng, videos, spoken, hidden, counts)
        with (out / "queries.jsonl").open("w") as file:
            for question in questions:
                shared = {"query": question.query, "kind": question.kind}
                if question.of:
                    shared["of"] = question.of
                lines = [{"video": name, **shared, "spans": spans} for name, spans in question.spans.items()]
                for line in lines or [{**shared, "spans": []}]:
                    file.write(json.dumps(line) + "\n")
        for video, done in zip(videos, rendering):
            done.result()
            print(f"{video.name}: {video.duration:.0f} s, {len(video.shots)} shots", flush=True)
    print(f"{sum(video.duration for video in videos) / 60:.1f} minutes, {len(questions)} questions")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/library"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--questions", type=int, default=340, help="in all, of every kind")
    args = parser.parse_args()
    shares = {"seen": 0.35, "said": 0.3, "both": 0.1, "absent": 0.25}
    make(args.out, args.seed, args.minutes, {kind: round(part * args.questions) for kind, part in shares.items()})
