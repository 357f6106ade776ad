"""How each picture of the world is drawn: one function a scene, and `draw` for any spec at any size."""

from __future__ import annotations

import functools
import math
import random
import subprocess
from collections.abc import Callable

import numpy as np
from PIL import Image

from .canvas import Canvas, draw_background, draw_shape
from .world import BACKGROUNDS, COLOURS, Scene, Spec

_DRAWERS: dict[str, Callable[[Canvas, str | None], None]] = {}
_SIDES = (-1, 1)


def draw(spec: Spec, rng: random.Random, width: int, height: int) -> Image.Image:
    """A picture of `spec`. The same spec, generator state and size give the same picture."""
    if isinstance(spec, Scene):
        shift = (rng.uniform(-0.07, 0.07), rng.uniform(-0.05, 0.05))
        canvas = Canvas(rng, width, height, shift, rng.uniform(0.82, 1.12))
        _DRAWERS[spec.name](canvas, spec.variant)
        return canvas.image
    canvas = Canvas(rng, width, height)
    draw_background(canvas, spec.background)
    for shape in spec.shapes:
        draw_shape(canvas, shape, len(spec.shapes))
    return canvas.image


def _draws(name: str):
    """Registers the function that draws the scene of this name."""

    def register(function):
        _DRAWERS[name] = function
        return function

    return register


# --- skies ---


def _day_sky(c: Canvas) -> None:
    c.vertical_gradient(c.near(110, 180, 240), c.near(200, 228, 248))


def _night_sky(c: Canvas) -> None:
    c.vertical_gradient(c.near(8, 8, 28), c.near(25, 25, 60))


def _stars(c: Canvas, count: int) -> None:
    c.specks(count, (0.004, 0.01), (250, 250, 220), until=0.7)


# --- out of doors ---


@_draws("sun and sea")
def _sun_and_sea(c: Canvas, variant: str) -> None:
    u, sunset = c.rng.uniform, variant == "sunset"
    horizon = u(0.5, 0.62)
    if sunset:
        c.vertical_gradient(c.near(200, 70, 60), c.near(250, 170, 70))
    else:
        c.vertical_gradient(c.near(90, 170, 245), c.near(190, 225, 250))
    height = u(-0.02, 0.1) if sunset else u(0.22, 0.32)
    c.disc(u(0.3, 0.7), horizon - height, 0.13, c.near(255, 120, 40) if sunset else c.near(255, 210, 60))
    c.ground(horizon, c.near(70, 50, 100) if sunset else c.near(25, 75, 150))
    for _ in range(8):
        x, y = u(0, 1), u(horizon + 0.04, 1)
        c.line([(x, y), (x + 0.12, y)], c.near(230, 140, 80) if sunset else c.near(150, 180, 220), 0.012)


@_draws("house")
def _house(c: Canvas, roof: str) -> None:
    _day_sky(c)
    c.ground(0.72, c.near(90, 165, 70))
    half = c.rng.uniform(0.22, 0.28)
    left, right = 0.5 - half, 0.5 + half
    c.rectangle(left, 0.45, right, 0.82, c.near(235, 220, 190))
    c.polygon([(left - 0.07, 0.46), (0.5, 0.18), (right + 0.07, 0.46)], c.named(roof))
    c.rectangle(0.45, 0.6, 0.56, 0.82, c.near(110, 70, 40))
    c.rectangle(left + 0.05, 0.54, 0.41, 0.66, c.near(120, 170, 210))
    c.rectangle(0.6, 0.54, right - 0.04, 0.66, c.near(120, 170, 210))


@_draws("tree")
def _tree(c: Canvas, variant: str) -> None:
    u = c.rng.uniform
    _day_sky(c)
    hill = [(x, 0.72 + 0.6 * (x - 0.5) ** 2) for x in np.linspace(-1, 2, 21)]
    c.polygon([*hill, (2, 2), (-1, 2)], c.near(100, 170, 80))
    c.rectangle(0.46, 0.5, 0.54, 0.76, c.near(105, 70, 40))
    for _ in range(7):
        leaves = c.near(30, 120, 40) if variant == "green" else c.near(225, 115, 25)
        c.disc(0.5 + u(-0.15, 0.15), 0.36 + u(-0.12, 0.1), 0.13, leaves)


@_draws("car")
def _car(c: Canvas, colour: str) -> None:
    _day_sky(c)
    c.ground(0.5, c.near(95, 160, 80))
    c.ground(0.62, c.near(80, 80, 85))
    for i in range(-4, 9):  # the dashes of the road, out into the wings
        c.rectangle(i * 0.22, 0.85, i * 0.22 + 0.1, 0.87, (240, 240, 230))
    paint, facing = c.named(colour), c.rng.choice(_SIDES)

    def turned(points):
        return [(0.5 + facing * (x - 0.5), y) for x, y in points]

    body = [
        (0.15, 0.55),
        (0.28, 0.54),
        (0.37, 0.42),
        (0.62, 0.42),
        (0.72, 0.54),
        (0.86, 0.57),
        (0.86, 0.7),
        (0.15, 0.7),
    ]
    c.polygon(turned(body), paint)
    c.polygon(turned([(0.33, 0.54), (0.39, 0.45), (0.48, 0.45), (0.48, 0.54)]), (190, 220, 240))
    c.polygon(turned([(0.51, 0.54), (0.51, 0.45), (0.6, 0.45), (0.67, 0.54)]), (190, 220, 240))
    for x, y in turned([(0.3, 0.71), (0.7, 0.71)]):
        c.disc(x, y, 0.075, (20, 20, 20))
        c.disc(x, y, 0.035, (180, 180, 180))


@_draws("snowfall")
def _snowfall(c: Canvas, _: None) -> None:
    _night_sky(c)
    c.ground(0.85, c.near(225, 230, 240))
    c.specks(c.rng.randint(35, 60), (0.008, 0.02), (245, 245, 250))


@_draws("rainbow")
def _rainbow(c: Canvas, _: None) -> None:
    _day_sky(c)
    bands = [(220, 40, 40), (245, 140, 30), (245, 225, 50), (50, 170, 60), (50, 90, 220), (120, 50, 170)]
    for i, rgb in enumerate(bands):
        c.arc(0.5, 0.8, 0.48 - i * 0.04, 0.55 - i * 0.04, 180, 360, c.near(*rgb), 0.045)
    c.ground(0.78, c.near(90, 165, 70))


@_draws("traffic light")
def _traffic_light(c: Canvas, showing: str) -> None:
    if c.rng.random() < 0.6:
        _day_sky(c)
    else:
        c.fill(c.near(100, 105, 115))
    c.rectangle(0.47, 0.7, 0.53, 1.3, c.near(70, 70, 70))
    c.rectangle(0.34, 0.1, 0.66, 0.8, c.near(30, 30, 32))
    lamps = [
        ("red", (250, 40, 30), (70, 20, 18)),
        ("yellow", (255, 215, 40), (75, 65, 20)),
        ("green", (40, 230, 80), (15, 60, 25)),
    ]
    for i, (name, lit, dark) in enumerate(lamps):
        c.disc(0.5, 0.22 + i * 0.23, 0.095, lit if name == showing else dark)


@_draws("moon")
def _moon(c: Canvas, _: None) -> None:
    u = c.rng.uniform
    c.fill(c.near(12, 14, 40))
    _stars(c, c.rng.randint(15, 35))
    x, y, radius = u(0.35, 0.65), u(0.3, 0.5), u(0.16, 0.22)
    c.disc(x, y, radius, c.near(245, 240, 205))
    if c.rng.random() < 0.75:  # a crescent
        c.disc(x + c.rng.choice(_SIDES) * radius * 0.55, y - radius * 0.15, radius * 0.9, (12, 14, 40))


@_draws("boat")
def _boat(c: Canvas, sail: str) -> None:
    _day_sky(c)
    c.ground(0.62, c.near(30, 90, 165))
    c.polygon([(0.22, 0.62), (0.78, 0.62), (0.68, 0.76), (0.32, 0.76)], c.near(110, 65, 35))
    c.line([(0.5, 0.64), (0.5, 0.12)], (70, 45, 30), 0.02)
    c.polygon([(0.52, 0.14), (0.52, 0.57), (0.8, 0.57)], c.named(sail))
    c.polygon([(0.48, 0.22), (0.48, 0.57), (0.27, 0.57)], c.named(sail))


@_draws("flower")
def _flower(c: Canvas, colour: str) -> None:
    if c.rng.random() < 0.5:
        _day_sky(c)
    else:
        c.fill(c.near(150, 200, 120))
    c.ground(0.8, c.near(80, 150, 60))
    c.line([(0.5, 0.45), (0.5, 0.95)], c.near(40, 120, 40), 0.04)
    c.ellipse(0.6, 0.72, 0.09, 0.04, c.near(40, 120, 40))
    petals, count, start = c.named(colour), c.rng.choice([5, 6, 7]), c.rng.uniform(0, 1)
    for i in range(count):
        angle = start + i * 2 * math.pi / count
        c.disc(0.5 + 0.17 * math.cos(angle), 0.38 + 0.17 * math.sin(angle), 0.105, petals)
    c.disc(0.5, 0.38, 0.09, c.near(120, 70, 30) if colour == "yellow" else c.near(240, 200, 50))


@_draws("balloon")
def _balloon(c: Canvas, colour: str) -> None:
    _day_sky(c)
    cloth = c.named(colour)
    if c.rng.random() < 0.5:
        c.ground(0.88, c.near(90, 160, 80))
    c.line([(0.36, 0.5), (0.45, 0.74)], (80, 60, 40), 0.012)
    c.line([(0.64, 0.5), (0.55, 0.74)], (80, 60, 40), 0.012)
    c.ellipse(0.5, 0.36, 0.26, 0.28, cloth)
    c.polygon([(0.29, 0.5), (0.71, 0.5), (0.56, 0.68), (0.44, 0.68)], cloth)
    c.ellipse(0.5, 0.36, 0.09, 0.28, tuple(min(255, int(v * 0.75 + 40)) for v in cloth))
    c.rectangle(0.44, 0.74, 0.56, 0.83, c.near(130, 85, 45))


@_draws("rain")
def _rain(c: Canvas, _: None) -> None:
    u = c.rng.uniform
    c.vertical_gradient(c.near(110, 120, 135), c.near(160, 168, 178))
    for _cloud in range(6):
        c.ellipse(u(0.15, 0.85), u(0.15, 0.27), 0.17, 0.1, c.near(75, 80, 90))
    for _drop in range(c.rng.randint(30, 45)):
        x, y = u(-0.2, 1.2), u(0.35, 0.95)
        c.line([(x, y), (x - 0.03, y + 0.1)], (70, 110, 190), 0.012)


@_draws("mountain")
def _mountain(c: Canvas, _: None) -> None:
    u, foot = c.rng.uniform, 0.9
    _day_sky(c)
    for x, half, height in ((u(0.2, 0.35), 0.4, 0.55), (u(0.6, 0.75), 0.45, 0.68)):
        c.polygon([(x - half, foot), (x, foot - height), (x + half, foot)], c.near(105, 105, 120))
        cap = [(-0.35, 0.65), (0, 1), (0.35, 0.65), (0.15, 0.58), (0, 0.68), (-0.15, 0.58)]
        c.polygon([(x + half * a, foot - height * b) for a, b in cap], (248, 248, 252))
    c.ground(0.88, c.near(80, 130, 75))


@_draws("fire")
def _fire(c: Canvas, _: None) -> None:
    u = c.rng.uniform
    c.fill(c.near(15, 12, 20))
    c.ground(0.82, c.near(50, 38, 28))
    for rgb, q in (((215, 60, 20), 1.0), ((245, 140, 30), 0.7), ((255, 225, 90), 0.4)):
        flame = [
            (-0.24 * q, 0),
            (-0.2 * q + u(-0.03, 0.03), 0.3 * q),
            (-0.09 * q, 0.22 * q),
            (u(-0.04, 0.04), 0.6 * q),
            (0.1 * q, 0.25 * q),
            (0.2 * q + u(-0.03, 0.03), 0.35 * q),
            (0.24 * q, 0),
        ]
        c.polygon([(0.5 + x, 0.8 - y) for x, y in flame], c.near(*rgb))
    c.line([(0.25, 0.86), (0.75, 0.79)], c.near(100, 60, 30), 0.055)
    c.line([(0.25, 0.79), (0.75, 0.86)], c.near(85, 50, 25), 0.055)


@_draws("city")
def _city(c: Canvas, variant: str) -> None:
    u, night = c.rng.uniform, variant == "night"
    if night:
        _night_sky(c)
    else:
        _day_sky(c)
    x = -1.0
    while x < 2:
        width, height = u(0.12, 0.2), u(0.3, 0.72)
        c.rectangle(x, 1 - height, x + width, 2, c.near(28, 28, 40) if night else c.near(120, 125, 140))
        for row in np.arange(1 - height + 0.04, 1.2, 0.075):
            for column in np.arange(x + 0.025, x + width - 0.03, 0.05):
                if c.rng.random() < 0.7:
                    window = (250, 220, 120) if night else (190, 210, 225)
                    c.rectangle(column, row, column + 0.025, row + 0.035, window)
        x += width + 0.015


@_draws("lightning")
def _lightning(c: Canvas, _: None) -> None:
    u = c.rng.uniform
    c.vertical_gradient(c.near(30, 32, 50), c.near(75, 75, 95))
    for _cloud in range(5):
        c.ellipse(u(0.1, 0.9), u(0.08, 0.2), 0.18, 0.09, c.near(50, 50, 62))
    offset = u(-0.12, 0.12)
    bolt = [(0.55, 0.2), (0.36, 0.56), (0.48, 0.56), (0.38, 0.92), (0.66, 0.46), (0.53, 0.46), (0.64, 0.2)]
    c.polygon([(x + offset, y) for x, y in bolt], c.near(255, 240, 130))


@_draws("birds")
def _birds(c: Canvas, _: None) -> None:
    u = c.rng.uniform
    c.vertical_gradient(c.near(140, 190, 235), c.near(225, 235, 245))
    for _bird in range(c.rng.randint(4, 8)):
        x, y, span = u(0.1, 0.9), u(0.1, 0.85), u(0.06, 0.1)
        wings = [(-1, -0.5), (-0.4, -0.6), (0, 0), (0.4, -0.6), (1, -0.5)]
        c.line([(x + span * a, y + span * b) for a, b in wings], (30, 30, 35), 0.022)


@_draws("cactus")
def _cactus(c: Canvas, _: None) -> None:
    if c.rng.random() < 0.5:
        c.vertical_gradient(c.near(245, 190, 120), c.near(250, 225, 170))
    else:
        _day_sky(c)
    c.ground(0.72, c.near(220, 185, 120))
    green = c.near(50, 130, 60)
    c.line([(0.5, 0.2), (0.5, 0.86)], green, 0.13)
    c.disc(0.5, 0.2, 0.065, green)
    for side, y in ((-1, 0.5), (1, 0.42)):
        elbow = 0.5 + side * 0.2
        c.line([(0.5, y), (elbow, y)], green, 0.075)
        c.line([(elbow, y + 0.035), (elbow, y - 0.2)], green, 0.075)
        c.disc(elbow, y - 0.2, 0.0375, green)


# --- creatures and things ---


@_draws("face")
def _face(c: Canvas, mood: str) -> None:
    c.fill(c.near(*c.rng.choice([(200, 220, 240), (235, 235, 235), (170, 200, 170), (90, 90, 120)])))
    radius = c.rng.uniform(0.3, 0.38)
    c.disc(0.5, 0.5, radius, c.near(255, 215, 70))
    for side in _SIDES:
        c.ellipse(0.5 + side * radius * 0.38, 0.5 - radius * 0.25, radius * 0.12, radius * 0.17, (30, 20, 20))
    drop, start, end = (0.05, 20, 160) if mood == "smiling" else (0.62, 200, 340)
    c.arc(0.5, 0.5 + radius * drop, radius * 0.55, radius * 0.45, start, end, (60, 20, 20), 0.04)


@_draws("chessboard")
def _chessboard(c: Canvas, _: None) -> None:
    sets = [((240, 240, 240), (25, 25, 25)), ((235, 220, 190), (120, 75, 45)), ((240, 240, 240), (60, 110, 70))]
    light, dark = c.rng.choice(sets)
    c.fill(c.near(70, 50, 40))
    side = 0.105
    for i in range(8):
        for j in range(8):
            x, y = 0.08 + i * side, 0.08 + j * side
            c.rectangle(x, y, x + side, y + side, light if (i + j) % 2 else dark)


@_draws("clock")
def _clock(c: Canvas, _: None) -> None:
    c.fill(c.near(*c.rng.choice([(190, 170, 150), (150, 180, 200), (220, 220, 210), (120, 140, 120)])))
    c.disc(0.5, 0.5, 0.38, c.near(60, 50, 50))
    c.disc(0.5, 0.5, 0.33, c.near(245, 245, 240))

    def spoke(angle, inner, outer, width):
        ends = [(0.5 + r * math.sin(angle), 0.5 - r * math.cos(angle)) for r in (inner, outer)]
        c.line(ends, (20, 20, 20), width)

    for hour in range(12):
        spoke(hour * math.pi / 6, 0.27, 0.31, 0.02)
    for length, width in ((0.17, 0.035), (0.25, 0.022)):
        spoke(c.rng.uniform(0, 6.28), 0, length, width)


@_draws("fish")
def _fish(c: Canvas, colour: str) -> None:
    u = c.rng.uniform
    c.vertical_gradient(c.near(40, 130, 190), c.near(10, 50, 110))
    facing, scales = c.rng.choice(_SIDES), c.named(colour)

    def turned(x):
        return 0.5 + facing * (x - 0.5)

    c.polygon([(turned(0.68), 0.5), (turned(0.9), 0.33), (turned(0.9), 0.67)], scales)
    c.ellipse(0.5, 0.5, 0.26, 0.17, scales)
    c.disc(turned(0.34), 0.46, 0.035, (250, 250, 250))
    c.disc(turned(0.34), 0.46, 0.018, (0, 0, 0))
    c.line([(turned(0.42), 0.38), (turned(0.42), 0.62)], tuple(int(v * 0.7) for v in scales), 0.02)
    for _bubble in range(6):
        c.disc(u(0.05, 0.95), u(0.05, 0.9), 0.02, (170, 210, 235))


@_draws("person")
def _person(c: Canvas, pose: str) -> None:
    u = c.rng.uniform
    c.fill(c.near(*c.rng.choice([(220, 230, 240), (235, 225, 205), (180, 210, 180), (200, 200, 200)])))
    ink = c.near(30, 30, 40)
    c.disc(0.5, 0.2, 0.09, ink)
    c.line([(0.5, 0.28), (0.5, 0.62)], ink, 0.035)
    elbow, hand = (0.58, 0.6) if pose == "standing" else (0.24, 0.1)
    for side in _SIDES:
        c.line([(0.5, 0.62), (0.5 + side * u(0.08, 0.16), 0.92)], ink, 0.035)
        c.line([(0.5, 0.38), (0.5 + side * 0.16, elbow), (0.5 + side * 0.19, hand)], ink, 0.03)


@_draws("cat")
def _cat(c: Canvas, colour: str) -> None:
    c.fill(c.near(*c.rng.choice([(190, 215, 235), (225, 200, 180), (170, 200, 160), (210, 190, 220)])))
    fur = c.near(*{"black": (30, 28, 30), "orange": (230, 140, 50), "white": (240, 238, 235)}[colour])
    for side in _SIDES:
        c.polygon([(0.5 + side * x, y) for x, y in [(0.3, 0.42), (0.27, 0.12), (0.07, 0.28)]], fur)
        c.polygon([(0.5 + side * x, y) for x, y in [(0.26, 0.34), (0.245, 0.19), (0.14, 0.28)]], c.near(230, 160, 165))
    c.ellipse(0.5, 0.53, 0.31, 0.28, fur)
    for side in _SIDES:
        c.ellipse(0.5 + side * 0.12, 0.47, 0.055, 0.06, c.near(130, 200, 80))
        c.ellipse(0.5 + side * 0.12, 0.47, 0.018, 0.05, (10, 10, 10))
        for drop in (-0.04, 0.02, 0.08):
            c.line([(0.5 + side * 0.1, 0.62), (0.5 + side * 0.4, 0.6 + drop)], (150, 150, 150), 0.01)
    c.polygon([(0.46, 0.57), (0.54, 0.57), (0.5, 0.62)], c.near(230, 130, 140))


@_draws("rocket")
def _rocket(c: Canvas, colour: str) -> None:
    c.fill(c.near(10, 10, 30))
    _stars(c, 30)
    hull = c.named(colour)
    for side in _SIDES:
        fins = c.near(200, 60, 50) if colour == "white" else c.near(230, 230, 230)
        c.polygon([(0.5 + side * x, y) for x, y in [(0.12, 0.68), (0.24, 0.82), (0.12, 0.78)]], fins)
    half = [(0.1, 0.25), (0.12, 0.4), (0.12, 0.78)]
    c.polygon([(0.5, 0.08), *[(0.5 + x, y) for x, y in half], *[(0.5 - x, y) for x, y in reversed(half)]], hull)
    c.disc(0.5, 0.38, 0.06, c.near(90, 160, 220))
    c.polygon([(0.41, 0.79), (0.5, c.rng.uniform(0.93, 1.05)), (0.59, 0.79)], c.near(255, 160, 40))


@_draws("football")
def _football(c: Canvas, _: None) -> None:
    c.fill(c.near(80, 150, 65))
    if c.rng.random() < 0.5:
        c.vertical_gradient(c.near(120, 185, 240), c.near(190, 220, 245), until=0.45)
    radius, x, y = c.rng.uniform(0.22, 0.28), 0.5, 0.6
    c.disc(x, y, radius, c.near(245, 245, 245))
    fifth = 2 * math.pi / 5

    def pentagon(centre_x, centre_y, size, turn):
        corners = [turn + i * fifth for i in range(5)]
        c.polygon([(centre_x + size * math.cos(a), centre_y + size * math.sin(a)) for a in corners], (25, 25, 25))

    start = c.rng.uniform(0, 1.2)
    pentagon(x, y, radius * 0.33, start)
    for i in range(5):
        angle = start + fifth / 2 + i * fifth
        pentagon(x + radius * 0.78 * math.cos(angle), y + radius * 0.78 * math.sin(angle), radius * 0.22, angle)


# --- screens ---


@_draws("slide")
def _slide(c: Canvas, _: None) -> None:
    u, dark = c.rng.uniform, c.rng.random() < 0.3
    c.fill(c.near(25, 35, 60) if dark else c.near(248, 248, 245))
    ink = (235, 235, 235) if dark else (40, 40, 50)
    heading = ink if dark else c.named(c.rng.choice(["blue", "black", "red", "purple"]))
    c.rectangle(0.1, 0.12, u(0.5, 0.85), 0.2, heading)
    for y in np.arange(0.29, 0.9, 0.075):
        x, end = 0.1, u(0.5, 0.92)
        while x < end:  # words as bars
            width = u(0.03, 0.13)
            c.rectangle(x, y, min(x + width, 0.93), y + 0.025, ink)
            x += width + 0.025


@_draws("chart")
def _chart(c: Canvas, _: None) -> None:
    c.fill(c.near(250, 250, 250))
    c.line([(0.1, 0.08), (0.1, 0.9), (0.94, 0.9)], (40, 40, 40), 0.018)
    count = c.rng.choice([4, 5, 6])
    one = None if c.rng.random() < 0.5 else c.named(c.rng.choice(["blue", "green", "red", "orange"]))
    for i in range(count):
        x = 0.15 + i * 0.78 / count
        colour = one or c.named(c.rng.choice(["blue", "green", "red", "orange", "purple", "yellow"]))
        c.rectangle(x, 0.9 - c.rng.uniform(0.12, 0.75), x + 0.55 / count, 0.89, colour)


@_draws("screen")
def _screen(c: Canvas, colour: str) -> None:
    greys = {"black": (0, 14), "white": (240, 255), "grey": (95, 165)}
    if colour in greys:
        level = c.rng.randint(*greys[colour])
        c.fill((level, level, level))
        return
    green = (0, 128, 0) if c.rng.random() < 0.6 else (0, 255, 0)
    web = {
        "red": (255, 0, 0),
        "green": green,
        "blue": (0, 0, 255),
        "yellow": (255, 255, 0),
        "orange": (255, 165, 0),
        "purple": (128, 0, 128),
        "pink": (255, 192, 203),
    }
    c.fill(c.near(*c.rng.choice([COLOURS.get(colour) or BACKGROUNDS[colour], web[colour]])))


@_draws("colour bars")
def _colour_bars(c: Canvas, _: None) -> None:
    bars = [(192, 192, 192), (192, 192, 0), (0, 192, 192), (0, 192, 0), (192, 0, 192), (192, 0, 0), (0, 0, 192)]
    wings = (c.width - c.height) / 2
    left, width = c.rng.choice([(0, c.width), (wings, c.height)])  # over the whole picture, or its middle square
    c.fill(bars[0])
    for i, rgb in enumerate(bars):
        c.pen.rectangle([left + i * width / 7, 0, left + (i + 1) * width / 7, c.height], fill=rgb)
    if left:
        c.pen.rectangle([left + width, 0, c.width, c.height], fill=bars[-1])
    if c.rng.random() < 0.6:
        foot = [(0, 33, 76), (255, 255, 255), (50, 0, 106), (19, 19, 19), (9, 9, 9)]
        for i, rgb in enumerate(foot):
            c.pen.rectangle([i * c.width / 5, c.height * 0.75, (i + 1) * c.width / 5, c.height], fill=rgb)


@functools.cache
def _ffmpeg_test_patterns() -> np.ndarray:
    """Frames of ffmpeg's own test sources, [n, 180, 320, 3]."""
    frames = []
    for source in ("testsrc", "testsrc2"):
        command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"{source}=size=320x180:rate=2:duration=30"]
        raw = subprocess.run(
            [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
        ).stdout
        frames.append(np.frombuffer(raw, np.uint8).reshape(-1, 180, 320, 3))
    return np.concatenate(frames)


@_draws("test pattern")
def _test_pattern(c: Canvas, _: None) -> None:
    frames = _ffmpeg_test_patterns()
    frame = Image.fromarray(frames[c.rng.randrange(len(frames))])
    c.image.paste(frame.resize((c.width, c.height), Image.BILINEAR), (0, 0))
