"""The world the tiny CLIP knows, as data.

A *spec* says what one picture shows: either a named scene (`Scene('car', 'red')`) or one to three shapes on a
background (`Shapes(...)`). Every spec has a set of *facts*, and every caption asserts a subset of them (see
captions.py), so whether a caption is true of a picture is computed, never guessed. Training uses that to drop false
negatives; evaluation uses it to build pools in which each caption has exactly one right answer.

Some combinations are held out of training altogether, to measure whether the model composes.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, replace

COLOURS = {
    "red": (215, 30, 30),
    "green": (20, 150, 40),
    "blue": (30, 60, 220),
    "yellow": (245, 220, 30),
    "orange": (245, 135, 20),
    "purple": (135, 40, 170),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
}
SHAPES = ["circle", "square", "triangle", "star", "ring", "cross", "heart", "diamond"]
SIZES = ["small", "large"]
PLACES = ["left", "right", "top", "bottom", "centre"]
BACKGROUNDS = {
    "sky blue": (135, 200, 235),
    "night black": (14, 14, 34),
    "grass green": (95, 165, 75),
    "sand": (222, 200, 150),
    "grey": (130, 130, 130),
    "snow white": (240, 242, 245),
    "pink": (245, 175, 200),
    "brown": (115, 75, 45),
}
STYLES = ["plain", "gradient", "checker", "striped", "noisy"]
PLACES_OF_COUNT = {
    0: [()],
    1: [("left",), ("right",), ("top",), ("bottom",), ("centre",)],
    2: [("left", "right"), ("top", "bottom")],
    3: [
        ("left", "centre", "right"),
        ("top", "left", "right"),
        ("bottom", "left", "right"),
        ("top", "centre", "bottom"),
    ],
}
# A shape of this colour would vanish in a background of that colour.
INVISIBLE = {("white", "snow white"), ("black", "night black"), ("green", "grass green"), ("yellow", "sand")}

# Every named scene and its variants; `None` where it has only one look.
SCENES: dict[str, list[str | None]] = {
    "sun and sea": ["sunset", "day"],
    "house": ["red", "blue", "green", "orange", "purple", "black"],
    "tree": ["green", "autumn"],
    "car": ["red", "green", "blue", "yellow", "orange", "purple", "white", "black"],
    "face": ["smiling", "sad"],
    "snowfall": [None],
    "rainbow": [None],
    "chessboard": [None],
    "clock": [None],
    "traffic light": ["red", "green", "yellow"],
    "moon": [None],
    "boat": ["red", "white", "yellow", "blue", "orange", "purple"],
    "flower": ["red", "yellow", "white", "purple", "orange", "blue"],
    "balloon": ["red", "yellow", "purple", "green", "blue", "orange"],
    "fish": ["orange", "red", "yellow", "purple", "green", "black"],
    "rain": [None],
    "mountain": [None],
    "fire": [None],
    "colour bars": [None],
    "test pattern": [None],
    "screen": ["red", "green", "blue", "yellow", "orange", "purple", "white", "black", "grey", "pink"],
    "slide": [None],
    "person": ["standing", "waving"],
    "city": ["night", "day"],
    "chart": [None],
    "lightning": [None],
    "cat": ["black", "orange", "white"],
    "birds": [None],
    "cactus": [None],
    "rocket": ["white", "red"],
    "football": [None],
}
# Looser truths that several scenes share.
TAGS = {
    "moon": ["night", "stars"],
    "snowfall": ["night", "snow"],
    "fire": ["night"],
    "sun and sea": ["sea"],
    "boat": ["sea"],
    "mountain": ["snow"],
    "rocket": ["stars"],
    "colour bars": ["test pattern"],
    "test pattern": ["test pattern"],
}
TAG_NAMES = ["night", "stars", "sea", "snow", "test pattern"]

# Never drawn in training.
HELD_OUT_SHAPES = {
    ("red", "star"),
    ("green", "ring"),
    ("blue", "heart"),
    ("yellow", "cross"),
    ("orange", "diamond"),
    ("purple", "square"),
    ("white", "triangle"),
    ("black", "circle"),
}
HELD_OUT_BACKGROUNDS = {
    ("striped", "grass green"),
    ("checker", "pink"),
    ("noisy", "sky blue"),
    ("gradient", "night black"),
}
HELD_OUT_SCENES = {
    ("car", "purple"),
    ("house", "orange"),
    ("flower", "blue"),
    ("balloon", "green"),
    ("boat", "purple"),
    ("fish", "yellow"),
}


@dataclass(frozen=True)
class Shape:
    """One coloured shape of a picture."""

    colour: str
    shape: str
    size: str
    place: str


@dataclass(frozen=True)
class Background:
    """What the shapes lie on."""

    style: str
    colour: str


@dataclass(frozen=True)
class Shapes:
    """A picture of none to three shapes."""

    background: Background
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class Scene:
    """A picture of one named scene in one of its variants."""

    name: str
    variant: str | None = None


Spec = Shapes | Scene
# ('shape', colour, shape, size, place), ('background', style, colour), ('count', n), ('scene', name, variant) or
# ('tag', name); None in a place means the fact leaves it open.
Fact = tuple


def shape_fact(shape: Shape, told: tuple[bool, bool, bool, bool]) -> Fact:
    """The fact that states only the told ones of a shape's colour, shape, size and place."""
    values = (shape.colour, shape.shape, shape.size, shape.place)
    return ("shape", *(value if tell else None for value, tell in zip(values, told)))


def facts(spec: Spec) -> frozenset[Fact]:
    """Everything that is true of a picture of `spec`."""
    if isinstance(spec, Scene):
        true = {("scene", spec.name, None), ("scene", spec.name, spec.variant)}
        true |= {("tag", tag) for tag in TAGS.get(spec.name, [])}
        if spec == Scene("city", "night"):
            true.add(("tag", "night"))
        return frozenset(true)
    true = {shape_fact(shape, told) for shape in spec.shapes for told in itertools.product((False, True), repeat=4)}
    style, colour = spec.background.style, spec.background.colour
    true |= {("background", style, colour), ("background", None, colour), ("background", style, None)}
    true.add(("count", len(spec.shapes)))
    return frozenset(true)


def all_facts() -> list[Fact]:
    """Every fact there is, in a fixed order."""
    known: list[Fact] = [
        ("shape", *values)
        for values in itertools.product([*COLOURS, None], [*SHAPES, None], [*SIZES, None], [*PLACES, None])
    ]
    known += [
        ("background", style, colour)
        for style, colour in itertools.product([*STYLES, None], [*BACKGROUNDS, None])
        if (style, colour) != (None, None)
    ]
    known += [("count", n) for n in PLACES_OF_COUNT]
    for name, variants in SCENES.items():
        known += [("scene", name, variant) for variant in dict.fromkeys([None, *variants])]
    return known + [("tag", name) for name in TAG_NAMES]


def is_held_out(fact: Fact) -> bool:
    """Whether a fact names a combination that training must not see."""
    kind, *values = fact
    if kind == "shape":
        return (values[0], values[1]) in HELD_OUT_SHAPES
    if kind == "background":
        return tuple(values) in HELD_OUT_BACKGROUNDS
    return kind == "scene" and tuple(values) in HELD_OUT_SCENES


# --- drawing specs at random ---


def random_background(rng: random.Random, held_out: bool = False) -> Background:
    """A background from inside or outside the training set."""
    while True:
        style, colour = rng.choice(STYLES), rng.choice(list(BACKGROUNDS))
        if ((style, colour) in HELD_OUT_BACKGROUNDS) == held_out:
            return Background(style, colour)


def random_shapes(
    rng: random.Random, count: int | None = None, held_out_shape: bool = False, held_out_background: bool = False
) -> Shapes:
    """Shapes on a background. `held_out_shape` puts one colour and shape that training never saw first."""
    background = random_background(rng, held_out_background)
    if count is None:
        count = rng.choices([0, 1, 2, 3], [0.05, 0.42, 0.34, 0.19])[0]
    if held_out_shape:
        count = max(count, 1)
    while count == 0 and background.style == "plain":  # an empty plain picture is the scene 'screen'
        background = random_background(rng, held_out_background)
    shapes = []
    for i, place in enumerate(rng.choice(PLACES_OF_COUNT[count])):
        while True:
            colour, shape = rng.choice(list(COLOURS)), rng.choice(SHAPES)
            if (colour, background.colour) in INVISIBLE:
                continue
            is_new = (colour, shape) in HELD_OUT_SHAPES
            if is_new == held_out_shape or (held_out_shape and i > 0):
                break
        shapes.append(Shape(colour, shape, rng.choice(SIZES), place))
    return Shapes(background, tuple(shapes))


def random_scene(rng: random.Random, held_out: bool = False) -> Scene:
    """A named scene from inside or outside the training set."""
    while True:
        name = rng.choice(list(SCENES))
        variant = rng.choice(SCENES[name])
        if ((name, variant) in HELD_OUT_SCENES) == held_out:
            return Scene(name, variant)


def random_spec(rng: random.Random) -> Spec:
    """Any picture of the training set."""
    return random_shapes(rng) if rng.random() < 0.65 else random_scene(rng)


def near_miss(rng: random.Random, spec: Spec) -> Spec:
    """A training picture that differs from `spec` in as little as one attribute: a hard negative for its caption."""
    if isinstance(spec, Scene):
        others = [v for v in SCENES[spec.name] if v != spec.variant and (spec.name, v) not in HELD_OUT_SCENES]
        if others and rng.random() < 0.7:
            return Scene(spec.name, rng.choice(others))
        return random_scene(rng)
    if not spec.shapes:
        return random_shapes(rng, rng.choice([0, 0, 1]))
    for _ in range(20):
        changed = _change_one_thing(rng, spec)
        allowed = all(
            (s.colour, s.shape) not in HELD_OUT_SHAPES and (s.colour, changed.background.colour) not in INVISIBLE
            for s in changed.shapes
        )
        if allowed and changed != spec:
            return changed
    return random_shapes(rng)


def _change_one_thing(rng: random.Random, spec: Shapes) -> Shapes:
    """One random edit: a colour, shape or size, the layout, the background, or two shapes trading attributes."""
    shapes = list(spec.shapes)
    i = rng.randrange(len(shapes))
    edit = rng.choice(["colour", "colour", "shape", "shape", "size", "places", "background", "trade", "trade"])
    if edit == "colour":
        shapes[i] = replace(shapes[i], colour=rng.choice(list(COLOURS)))
    elif edit == "shape":
        shapes[i] = replace(shapes[i], shape=rng.choice(SHAPES))
    elif edit == "size":
        shapes[i] = replace(shapes[i], size="small" if shapes[i].size == "large" else "large")
    elif edit == "places":
        places = rng.choice(PLACES_OF_COUNT[len(shapes)])
        shapes = [replace(shape, place=place) for shape, place in zip(shapes, places)]
    elif edit == "background":
        return Shapes(random_background(rng), spec.shapes)
    elif len(shapes) > 1:
        a, b = shapes[0], shapes[1]
        for attribute in rng.choice([("colour",), ("shape",), ("colour", "shape")]):
            value_a, value_b = getattr(a, attribute), getattr(b, attribute)
            a, b = replace(a, **{attribute: value_b}), replace(b, **{attribute: value_a})
        shapes[0], shapes[1] = a, b
    return Shapes(spec.background, tuple(shapes))
