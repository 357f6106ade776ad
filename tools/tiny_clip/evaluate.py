"""Measures an exported tiny CLIP (onnxruntime; no PyTorch): retrieval, absent from present, video.

Each pool holds pairs such that every caption is true of exactly one picture of the pool; seeds are none of training's.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .captions import caption, variant_phrases
from .drawings import draw
from .embed import OnnxClip
from .snapshot import snapshot
from .world import HELD_OUT_SCENES, SCENES, Scene, Spec, facts, random_shapes, random_spec

WIDTH, HEIGHT, FRAMES_OF_SCENE = 640, 360, 10


def pool(count: int, seed: int, make: Callable[[random.Random], Spec], full: bool) -> tuple[list[Spec], list[str]]:
    """Pictures and captions, each caption true of its own picture only."""
    rng = random.Random(seed)
    kept: list[tuple[Spec, str, frozenset, frozenset]] = []
    while len(kept) < count:
        spec = make(rng)
        true, (text, told) = facts(spec), caption(rng, spec, full)
        if not any(told <= other_true or other_told <= true for _, _, other_true, other_told in kept):
            kept.append((spec, text, true, told))
    return [spec for spec, *_ in kept], [text for _, text, *_ in kept]


def recall(similarity: np.ndarray, at: int) -> float:
    """How often the right column is among the best `at` of its row."""
    right = np.diag(similarity)
    better = (similarity > right[:, None]).sum(1)
    return float((better < at).mean())


def evaluate(folder: Path, suffix: str = "") -> dict[str, float]:
    """Prints and returns every figure."""
    clip = OnnxClip(folder, suffix)
    figures: dict[str, float] = {}

    def note(name: str, value: float) -> None:
        figures[name] = value
        print(f"{value:7.3f}  {name}", flush=True)

    pools = [
        ("test captions, 256", 256, 3001, random_spec, True),
        ("free phrasing, 128", 128, 3002, random_spec, False),
        ("shapes only, 256", 256, 3003, random_shapes, True),
        ("unseen colour and shape pairs, 256", 256, 3004, lambda rng: random_shapes(rng, held_out_shape=True), True),
        ("unseen backgrounds, 256", 256, 3005, lambda rng: random_shapes(rng, held_out_background=True), True),
    ]
    for name, count, seed, make, full in pools:
        specs, texts = pool(count, seed, make, full)
        rng = random.Random(seed + 500)
        pictures = clip.embed_pictures(np.stack([snapshot(spec, rng) for spec in specs]))
        similarity = clip.embed_texts(texts) @ pictures.T
        note(f"{name}: text to picture R@1", recall(similarity, 1))
        note(f"{name}: text to picture R@5", recall(similarity, 5))
        note(f"{name}: picture to text R@1", recall(similarity.T, 1))
    _present_or_absent(clip, note)
    _scene_names(clip, note)
    _video(clip, note)
    return figures


def _present_or_absent(clip: OnnxClip, note) -> None:
    """256 pictures as they come, a natural caption for each; many captions are true of several."""
    rng = random.Random(4001)
    specs = [random_spec(rng) for _ in range(256)]
    captions = [caption(rng, spec) for spec in specs]
    pictures = clip.embed_pictures(np.stack([snapshot(spec, rng) for spec in specs]))
    similarity = clip.embed_texts([text for text, _ in captions]) @ pictures.T
    true = np.array([[told <= facts(spec) for spec in specs] for _, told in captions])
    note("natural captions, 256: best picture is a true match", true[np.arange(256), similarity.argmax(1)].mean())
    note("cosine of matches, 5th percentile", np.percentile(similarity[true], 5))
    note("cosine of matches, median", np.percentile(similarity[true], 50))
    note("cosine of non-matches, 99th percentile", np.percentile(similarity[~true], 99))


def _scene_names(clip: OnnxClip, note) -> None:
    """Which of all named scenes is this? For scenes of the training set, and for colours of them it never saw."""
    every = [Scene(name, variant) for name, variants in SCENES.items() for variant in variants]
    phrases = [(variant_phrases(scene) or [caption(random.Random(0), scene, full=True)[0]])[0] for scene in every]
    texts = clip.embed_texts(phrases)
    for title, unseen, each in (("named scenes", False, 4), ("unseen colours of named scenes", True, 20)):
        rng = random.Random(4002)
        shown = [s for s in every if ((s.name, s.variant) in HELD_OUT_SCENES) == unseen for _ in range(each)]
        pictures = clip.embed_pictures(np.stack([snapshot(scene, rng) for scene in shown]))
        best = [every[i] for i in (pictures @ texts.T).argmax(1)]
        note(f"{title}: scene and variant right, {len(shown)}", np.mean([a == b for a, b in zip(best, shown)]))
        note(f"{title}: scene right, {len(shown)}", np.mean([a.name == b.name for a, b in zip(best, shown)]))


def _video(clip: OnnxClip, note) -> None:
    """64 scenes of ten drifting frames each, through H.264 and back; a scene scores as its best frame."""
    specs, texts = pool(64, 900, random_spec, True)
    rng = random.Random(901)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "video.mp4"
        command = [
            "ffmpeg",
            "-v",
            "error",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            f"{WIDTH}x{HEIGHT}",
            "-r",
            "10",
            "-i",
            "-",
        ]
        command += [
            "-c:v",
            "libx264",
            "-threads",
            "1",
            "-preset",
            "veryfast",
            "-crf",
            "23",
            "-pix_fmt",
            "yuv420p",
            str(file),
        ]
        encoder = subprocess.Popen(command, stdin=subprocess.PIPE)
        for spec in specs:
            image = draw(spec, rng, WIDTH + 40, HEIGHT + 22)
            drift_x, drift_y = rng.uniform(-2, 2), rng.uniform(-1, 1)
            for k in range(FRAMES_OF_SCENE):
                left, top = int(20 + drift_x * (k - 5)), int(11 + drift_y * (k - 5))
                encoder.stdin.write(image.crop((left, top, left + WIDTH, top + HEIGHT)).tobytes())
        encoder.stdin.close()
        if encoder.wait() != 0:
            raise RuntimeError("ffmpeg could not encode the test video")
        side, vectors = clip.side, clip.embed_texts(texts)
        for title, scale in (
            ("centre crop", f"scale=-2:{side}:flags=bicubic,crop={side}:{side}"),
            ("stretched", f"scale={side}:{side}:flags=bicubic"),
        ):
            command = [
                "ffmpeg",
                "-v",
                "error",
                "-i",
                str(file),
                "-vf",
                scale,
                "-f",
                "rawvideo",
                "-pix_fmt",
                "rgb24",
                "-",
            ]
            raw = subprocess.run(command, capture_output=True, check=True).stdout
            pictures = clip.embed_pictures(np.frombuffer(raw, np.uint8).reshape(-1, side, side, 3))
            by_scene = (vectors @ pictures.T).reshape(len(texts), len(specs), FRAMES_OF_SCENE).max(2)
            note(f"64 scenes through H.264, {title}: text to scene R@1", recall(by_scene, 1))
            note(f"64 scenes through H.264, {title}: text to scene R@5", recall(by_scene, 5))
