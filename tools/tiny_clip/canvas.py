"""A picture to draw on in units that do not depend on its size or aspect.

Coordinates run from 0 to 1 over the *square in the middle* of the picture (the part a centre crop keeps); what lies
outside is the wings of a wide picture. A small shift and zoom, set once, moves everything drawn.
"""

from __future__ import annotations

import math
import random

import numpy as np
from PIL import Image, ImageDraw

from .world import BACKGROUNDS, COLOURS, Background, Shape

RGB = tuple[int, int, int]
PLACE_CENTRES = {
    "left": (0.22, 0.5),
    "right": (0.78, 0.5),
    "top": (0.5, 0.22),
    "bottom": (0.5, 0.78),
    "centre": (0.5, 0.5),
}


def jittered(rng: random.Random, rgb: RGB, amount: int = 18) -> RGB:
    """A colour near `rgb`: a little lighter or darker, a little off in hue."""
    lightness = rng.randint(-amount, amount)
    return tuple(max(0, min(255, int(v + lightness * 0.5 + rng.randint(-amount, amount) * 0.6))) for v in rgb)


class Canvas:
    """Draws filled forms in unit coordinates onto a Pillow image."""

    def __init__(
        self, rng: random.Random, width: int, height: int, shift: tuple[float, float] = (0, 0), zoom: float = 1.0
    ) -> None:
        self.rng, self.width, self.height = rng, width, height
        self.shift, self.zoom = shift, zoom
        self.image = Image.new("RGB", (width, height))
        self.pen = ImageDraw.Draw(self.image)

    # -- colours --

    def near(self, *rgb: int) -> RGB:
        """A colour close to these red, green and blue values."""
        return jittered(self.rng, rgb, 12)

    def named(self, colour: str) -> RGB:
        """A colour that goes by this name."""
        return jittered(self.rng, COLOURS[colour])

    # -- coordinates --

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Unit coordinates to pixels."""
        side, left = self.height, (self.width - self.height) / 2
        return (
            left + ((x - 0.5) * self.zoom + 0.5 + self.shift[0]) * side,
            ((y - 0.5) * self.zoom + 0.5 + self.shift[1]) * side,
        )

    def thickness(self, width: float) -> int:
        return max(1, int(width * self.zoom * self.height))

    # -- forms --

    def polygon(self, points: list[tuple[float, float]], colour: RGB) -> None:
        self.pen.polygon([self.at(*point) for point in points], fill=colour)

    def ellipse(self, x: float, y: float, radius_x: float, radius_y: float, colour: RGB) -> None:
        self.pen.ellipse([self.at(x - radius_x, y - radius_y), self.at(x + radius_x, y + radius_y)], fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: RGB) -> None:
        self.ellipse(x, y, radius, radius, colour)

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: RGB) -> None:
        self.pen.rectangle([self.at(left, top), self.at(right, bottom)], fill=colour)

    def line(self, points: list[tuple[float, float]], colour: RGB, width: float) -> None:
        self.pen.line([self.at(*point) for point in points], fill=colour, width=self.thickness(width), joint="curve")

    def arc(
        self, x: float, y: float, radius_x: float, radius_y: float, start: float, end: float, colour: RGB, width: float
    ) -> None:
        """Part of an ellipse's outline, from `start` to `end` degrees clockwise of three o'clock."""
        box = [self.at(x - radius_x, y - radius_y), self.at(x + radius_x, y + radius_y)]
        self.pen.arc(box, start, end, fill=colour, width=self.thickness(width))

    # -- whole-picture fills; these cover the wings too --

    def fill(self, colour: RGB) -> None:
        self.pen.rectangle([0, 0, self.width, self.height], fill=colour)

    def ground(self, y: float, colour: RGB) -> None:
        """Everything below `y`."""
        self.pen.rectangle([0, self.at(0, y)[1], self.width, self.height], fill=colour)

    def vertical_gradient(self, top: RGB, bottom: RGB, until: float = 1.0) -> None:
        """From `top` to `bottom`, over the upper `until` of the picture."""
        rows = max(2, int(until * self.height))
        mix = np.linspace(0, 1, rows)[:, None, None]
        colours = np.array(top) * (1 - mix) + np.array(bottom) * mix
        self.image.paste(Image.fromarray(np.repeat(colours.astype(np.uint8), self.width, 1)), (0, 0))

    def specks(self, count: int, radius: tuple[float, float], colour: RGB, until: float = 1.0) -> None:
        """Round dots anywhere in the upper `until` of the picture: stars, snow."""
        for _ in range(count):
            x, y = self.rng.uniform(0, self.width), self.rng.uniform(0, self.height * until)
            r = self.rng.uniform(*radius) * self.height
            self.pen.ellipse([x - r, y - r, x + r, y + r], fill=colour)


def _outline(shape: str) -> list[tuple[float, float]]:
    """The corners of a shape of radius 1 about the origin."""
    if shape == "square":
        return [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]
    if shape == "triangle":
        return [(0, -1), (0.95, 0.75), (-0.95, 0.75)]
    if shape == "diamond":
        return [(0, -1.1), (0.72, 0), (0, 1.1), (-0.72, 0)]
    if shape == "cross":
        a = 0.3
        return [
            (-a, -1),
            (a, -1),
            (a, -a),
            (1, -a),
            (1, a),
            (a, a),
            (a, 1),
            (-a, 1),
            (-a, a),
            (-1, a),
            (-1, -a),
            (-a, -a),
        ]
    if shape == "star":
        radii = [1.1 if k % 2 == 0 else 0.45 for k in range(10)]
        return [(r * math.sin(k * math.pi / 5), -r * math.cos(k * math.pi / 5)) for k, r in enumerate(radii)]
    if shape == "heart":  # the usual parametric heart curve
        angles = np.linspace(0, 2 * math.pi, 40)
        y = 13 * np.cos(angles) - 5 * np.cos(2 * angles) - 2 * np.cos(3 * angles) - np.cos(4 * angles)
        return list(zip(np.sin(angles) ** 3, -y / 15))
    raise ValueError(f"no outline for {shape}")


def draw_shape(canvas: Canvas, shape: Shape, count: int) -> None:
    """One shape at its place, a little off centre and turned; more shapes in the picture make each smaller."""
    rng = canvas.rng
    if shape.size == "small":
        radius = rng.uniform(0.085, 0.115)
    else:
        radius = rng.uniform(*{1: (0.19, 0.25), 2: (0.17, 0.2), 3: (0.15, 0.175)}[count])
    x, y = PLACE_CENTRES[shape.place]
    wobble = 0.05 if count < 3 else 0.025
    x += rng.uniform(-wobble, wobble)
    y += rng.uniform(-0.12, 0.12) if shape.place in ("left", "right") and count < 3 else rng.uniform(-wobble, wobble)
    if shape.place in ("top", "bottom") and count < 3:
        x += rng.uniform(-0.1, 0.1)
    x, y = (min(1 - radius, max(radius, value)) for value in (x, y))
    colour, turn = canvas.named(shape.colour), rng.uniform(-0.22, 0.22)
    if shape.shape == "circle":
        canvas.disc(x, y, radius, colour)
    elif shape.shape == "ring":
        canvas.arc(x, y, radius, radius, 0, 360, colour, radius * 0.36)
    else:
        cos, sin = math.cos(turn), math.sin(turn)
        points = [
            (x + radius * (a * cos - b * sin), y + radius * (a * sin + b * cos)) for a, b in _outline(shape.shape)
        ]
        canvas.polygon(points, colour)


def draw_background(canvas: Canvas, background: Background) -> None:
    """A plain colour, or a pattern of it and a lighter or darker one."""
    rng, width, height = canvas.rng, canvas.width, canvas.height
    base = np.array(jittered(rng, BACKGROUNDS[background.colour], 12))
    step = rng.choice([-1, 1]) * rng.randint(38, 60)
    if base.mean() > 200:
        step = -abs(step)
    if base.mean() < 60:
        step = abs(step)
    other = np.clip(base + step, 0, 255)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    style = background.style
    if style == "plain":
        mix = np.zeros_like(x)
    elif style == "gradient":
        angle = rng.uniform(0, 2 * math.pi)
        mix = x * math.cos(angle) + y * math.sin(angle)
        mix = (mix - mix.min()) / (np.ptp(mix) + 1e-6)
        other = np.clip(base + step * 1.6, 0, 255)
    elif style == "checker":
        fields = rng.uniform(4, 7)
        mix = (np.floor(x * fields + rng.random()) + np.floor(y * fields + rng.random())) % 2
    elif style == "striped":
        stripes, angle = rng.uniform(3.5, 7), rng.choice([0, math.pi / 2, math.pi / 4, -math.pi / 4])
        mix = np.floor((x * math.cos(angle) + y * math.sin(angle)) * stripes * 2 + 40 + rng.random()) % 2
    else:
        grain = rng.choice([2, 3, 4])
        noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 0.45, (height // grain + 1, width // grain + 1))
        mix = noise.repeat(grain, 0).repeat(grain, 1)[:height, :width]
    pixels = base + (other - base) * mix[..., None]
    canvas.image.paste(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), (0, 0))
