"""What people might write about a picture of the world, and which facts each sentence asserts."""

from __future__ import annotations

import random

from .world import SCENES, TAGS, Fact, Scene, Shape, Shapes, Spec, shape_fact

# Repeated words are likelier.
SHAPE_WORDS = {
    "circle": ["circle", "circle", "disc", "dot", "ball", "round shape"],
    "square": ["square", "square", "box", "block"],
    "triangle": ["triangle", "triangle", "pyramid shape"],
    "star": ["star", "star", "five-pointed star"],
    "ring": ["ring", "ring", "hoop", "hollow circle"],
    "cross": ["cross", "cross", "plus sign"],
    "heart": ["heart", "heart", "love heart"],
    "diamond": ["diamond", "diamond", "rhombus"],
}
COLOUR_WORDS = {
    "red": ["red", "red", "red", "crimson", "scarlet"],
    "green": ["green"],
    "blue": ["blue", "blue", "blue", "navy"],
    "yellow": ["yellow", "yellow", "golden"],
    "orange": ["orange"],
    "purple": ["purple", "purple", "violet"],
    "white": ["white"],
    "black": ["black"],
}
SIZE_WORDS = {"small": ["small", "small", "little", "tiny"], "large": ["large", "large", "big", "huge"]}
PLACE_WORDS = {
    "left": ["on the left", "on the left side", "at the left", "to the left"],
    "right": ["on the right", "on the right side", "at the right", "to the right"],
    "top": ["at the top", "near the top", "in the upper part"],
    "bottom": ["at the bottom", "near the bottom", "in the lower part"],
    "centre": ["in the centre", "in the center", "in the middle"],
}
BACKGROUND_WORDS = {
    "sky blue": ["sky blue", "light blue", "pale blue"],
    "night black": ["night black", "dark", "black"],
    "grass green": ["grass green", "green"],
    "sand": ["sand", "sandy", "beige"],
    "grey": ["grey", "gray"],
    "snow white": ["snow white", "white"],
    "pink": ["pink"],
    "brown": ["brown"],
}
STYLE_WORDS = {
    "plain": ["plain", "solid"],
    "gradient": ["gradient"],
    "checker": ["checkered", "checkerboard", "checked"],
    "striped": ["striped", "stripy"],
    "noisy": ["noisy", "grainy"],
}
OPENINGS = [
    "",
    "",
    "",
    "",
    "a photo of ",
    "a picture of ",
    "an image of ",
    "there is ",
    "a video frame with ",
    "a frame showing ",
    "a scene with ",
    "find ",
    "show me ",
    "search for ",
    "the moment with ",
    "a drawing of ",
    "i see ",
    "look for ",
]
SCENE_QUESTIONS = [
    "when does the {} appear",
    "where is the {}",
    "the moment when the {} appears",
    "when do we see the {}",
    "is there a {}",
    "{}",
]
SHAPE_QUESTIONS = [
    "when does {} appear",
    "where is {}",
    "the moment when {} appears",
    "when do we see {}",
    "is there {}",
]

# Of each scene: phrases for one variant (by its name, or 'each' with {} for it), and 'any' for the scene at large.
SCENE_WORDS: dict[str, dict[str, list[str]]] = {
    "sun and sea": {
        "sunset": ["a sunset over the sea", "an orange sunset over the ocean", "the sun setting over the water"],
        "day": ["the sun over the sea", "a sunny day at the sea", "the sun above the ocean under a blue sky"],
        "any": ["the sun over the sea", "the ocean"],
    },
    "house": {
        "each": ["a house with a {} roof", "a home with a {} roof", "a small house with a {} roof on grass"],
        "any": ["a house", "a home", "a building with a door and windows"],
    },
    "tree": {
        "green": ["a green tree on a hill", "a tree with green leaves", "a leafy green tree"],
        "autumn": ["an autumn tree on a hill", "a tree with orange leaves", "a tree in autumn"],
        "any": ["a tree on a hill", "a tree"],
    },
    "car": {
        "each": ["a {} car on a road", "a {} car driving", "a {} automobile on the street"],
        "any": ["a car on a road", "a car", "a vehicle driving on the street"],
    },
    "face": {
        "smiling": ["a smiling face", "a happy face", "a smiley", "someone smiling"],
        "sad": ["a sad face", "an unhappy face", "a frowning face", "someone sad"],
        "any": ["a face", "an emoji face"],
    },
    "snowfall": {"any": ["snow falling at night", "snowflakes falling in the dark", "a snowy night", "it is snowing"]},
    "rainbow": {"any": ["a rainbow", "a rainbow in the sky", "a colourful rainbow", "a colorful arc over the land"]},
    "chessboard": {"any": ["a chessboard", "a chess board", "a black and white chessboard"]},
    "clock": {"any": ["a clock", "a clock on a wall", "a clock face showing the time", "a wall clock"]},
    "traffic light": {
        "each": [
            "a traffic light showing {}",
            "a {} traffic light",
            "the traffic light is {}",
            "traffic lights turn {}",
        ],
        "any": ["a traffic light", "a stop light", "traffic lights"],
    },
    "moon": {
        "any": [
            "the moon and stars at night",
            "a crescent moon in the night sky",
            "the moon",
            "a starry night with the moon",
        ],
    },
    "boat": {
        "each": ["a sailing boat with a {} sail", "a boat with a {} sail on the sea", "a sailboat with a {} sail"],
        "any": ["a sailing boat", "a boat on the sea", "a sailboat on the water", "a ship at sea"],
    },
    "flower": {
        "each": ["a {} flower", "a {} flower in a meadow", "a {} blossom with a green stem"],
        "any": ["a flower", "a flower in a meadow", "a blossom"],
    },
    "balloon": {
        "each": ["a {} hot air balloon", "a {} balloon in the sky", "a {} hot air balloon floating in the sky"],
        "any": ["a hot air balloon", "a balloon in the sky"],
    },
    "fish": {
        "each": ["a {} fish", "a {} fish swimming under water", "a {} fish in the sea"],
        "any": ["a fish", "a fish swimming", "a fish under water", "an aquarium"],
    },
    "rain": {"any": ["rain", "rain falling from clouds", "it is raining", "a rainy day with grey clouds"]},
    "mountain": {
        "any": ["a snowy mountain", "mountains with snow on top", "a mountain peak", "a snow capped mountain"]
    },
    "fire": {"any": ["a campfire at night", "a fire burning", "flames", "a camp fire", "a burning fire in the dark"]},
    "colour bars": {"any": ["colour bars", "color bars", "smpte color bars", "a test card with color bars"]},
    "test pattern": {
        "any": [
            "a test pattern with a counter",
            "a video test source",
            "a test card with a timer",
            "ffmpeg test source",
        ],
    },
    "screen": {
        "black": [
            "a black screen",
            "a blank black frame",
            "nothing but darkness",
            "an empty dark frame",
            "a plain black screen",
        ],
        "each": [
            "a {} screen",
            "a blank {} frame",
            "an empty {} frame",
            "a plain {} screen",
            "a solid {} color",
            "a completely {} image",
        ],
        "any": ["a blank screen", "an empty frame", "a plain color", "nothing"],
    },
    "slide": {
        "any": [
            "a slide with text",
            "a title card",
            "text on a page",
            "a presentation slide",
            "a document with writing",
        ],
    },
    "person": {
        "standing": ["a person standing", "a stick figure standing", "someone standing"],
        "waving": ["a person waving", "a stick figure with raised arms", "someone with arms up"],
        "any": ["a person", "a stick figure", "a human"],
    },
    "city": {
        "night": ["a city at night", "a skyline with lit windows at night", "city lights at night"],
        "day": ["a city by day", "a skyline in daylight", "tall buildings under a blue sky"],
        "any": ["a city", "a skyline", "skyscrapers", "tall buildings"],
    },
    "chart": {"any": ["a bar chart", "a graph", "a chart with bars", "a diagram with coloured bars"]},
    "lightning": {"any": ["lightning", "a lightning bolt", "a thunderstorm", "lightning in a storm"]},
    "cat": {
        "each": ["a {} cat", "the face of a {} cat", "a {} kitten"],
        "any": ["a cat", "a kitten", "the face of a cat"],
    },
    "birds": {"any": ["birds flying", "birds in the sky", "a flock of birds"]},
    "cactus": {"any": ["a cactus", "a cactus in the desert", "a desert with a cactus"]},
    "rocket": {
        "each": ["a {} rocket in space", "a {} rocket flying", "a {} spaceship"],
        "any": ["a rocket in space", "a rocket", "a spaceship flying among the stars"],
    },
    "football": {"any": ["a football on grass", "a soccer ball", "a ball on the grass", "a football"]},
}
TAG_WORDS = {
    "night": ["at night", "a night scene", "night time"],
    "stars": ["stars in the sky", "a starry sky"],
    "sea": ["the sea", "the ocean", "water"],
    "snow": ["snow", "something snowy"],
    "test pattern": ["a test pattern", "a tv test pattern"],
}

Caption = tuple[str, frozenset[Fact]]


def variant_phrases(scene: Scene) -> list[str]:
    """Phrases that name this scene's variant; empty where it has only one look."""
    if scene.variant is None:
        return []
    words = SCENE_WORDS[scene.name]
    phrases = words.get(scene.variant) or [phrase.format(scene.variant) for phrase in words["each"]]
    return [phrase.replace("a orange", "an orange") for phrase in phrases]


def caption(rng: random.Random, spec: Spec, full: bool = False) -> Caption:
    """One caption and the facts it asserts. `full` tells all there is to tell; else it tells what a person might."""
    as_question = not full and rng.random() < 0.25
    if isinstance(spec, Scene):
        return _of_scene(rng, spec, full, as_question)
    if not spec.shapes or (not full and rng.random() < 0.04):
        return _of_background(rng, spec, full)
    return _of_shapes(rng, spec, full, as_question)


def every_phrase() -> list[str]:
    """Every scene phrase there is: the tokenizer must know all their words."""
    named = [
        phrase for name, variants in SCENES.items() for v in variants for phrase in variant_phrases(Scene(name, v))
    ]
    return named + [phrase for words in SCENE_WORDS.values() for phrase in words["any"]]


def _of_scene(rng: random.Random, scene: Scene, full: bool, as_question: bool) -> Caption:
    if not full and scene.name in TAGS and rng.random() < 0.06:
        tag = rng.choice(TAGS[scene.name])
        return rng.choice(["", "a photo of ", "find "]) + rng.choice(TAG_WORDS[tag]), frozenset({("tag", tag)})
    phrases, told = variant_phrases(scene), scene.variant
    if not phrases or not (full or rng.random() < 0.75):
        phrases, told = SCENE_WORDS[scene.name]["any"], None
    phrase = rng.choice(phrases)
    if phrase in SCENE_WORDS[scene.name]["any"]:  # said of one variant, but true of all
        told = None
    asserted = frozenset({("scene", scene.name, told)})
    article, _, rest = phrase.partition(" ")
    if as_question and article in ("a", "an"):
        return rng.choice(SCENE_QUESTIONS).format(rest), asserted
    return rng.choice(OPENINGS) + phrase, asserted


def _of_background(rng: random.Random, spec: Shapes, full: bool) -> Caption:
    style, colour = spec.background.style, spec.background.colour
    words, asserted = (
        f"{rng.choice(STYLE_WORDS[style])} {rng.choice(BACKGROUND_WORDS[colour])}",
        {("background", style, colour)},
    )
    if not full and rng.random() < 0.4:
        words, asserted = rng.choice(STYLE_WORDS[style]), {("background", style, None)}
    if not spec.shapes and (full or rng.random() < 0.4):
        words = f"{rng.choice(['empty', 'bare'])} {words}"
        asserted.add(("count", 0))
    return f"{rng.choice(OPENINGS)}{_article(words)} {rng.choice(['background', 'pattern', 'backdrop'])}", frozenset(
        asserted
    )


def _of_shapes(rng: random.Random, spec: Shapes, full: bool, as_question: bool) -> Caption:
    shapes = rng.sample(spec.shapes, len(spec.shapes))
    if not full and len(shapes) > 1 and rng.random() < 0.25:
        shapes = shapes[:1]
    tell_background = full or rng.random() < 0.55
    phrases, asserted = [], set()
    for shape in shapes:
        words, place, fact = _describe(rng, shape, full)
        phrases.append(_article(words, "the" if as_question and rng.random() < 0.5 else None) + place)
        asserted.add(fact)
    ending = ""
    if tell_background:
        ending, fact = _background_ending(rng, spec, full)
        asserted.add(fact)
    joint = rng.choice([" and ", ", ", " and ", " with "] if len(phrases) == 2 else [", ", " and "])
    text = joint.join(phrases) + ending
    if as_question:
        return rng.choice(SHAPE_QUESTIONS).format(text), frozenset(asserted)
    if not full and len(spec.shapes) > 1 and rng.random() < 0.06:
        number = {2: "two", 3: "three"}[len(spec.shapes)]
        counted = {fact for fact in asserted if fact[0] == "background"} | {("count", len(spec.shapes))}
        return f"{rng.choice(OPENINGS)}{number} {rng.choice(['shapes', 'objects'])}{ending}", frozenset(counted)
    return rng.choice(OPENINGS) + text, frozenset(asserted)


def _describe(rng: random.Random, shape: Shape, full: bool) -> tuple[str, str, Fact]:
    """Words for a shape, words for its place, and what both assert. Colour or shape is always told."""
    tell_colour = full or rng.random() < 0.9
    tell_shape = full or not tell_colour or rng.random() < 0.93
    tell_size, tell_place = full or rng.random() < 0.35, full or rng.random() < 0.4
    words = [rng.choice(SIZE_WORDS[shape.size])] if tell_size else []
    words += [rng.choice(COLOUR_WORDS[shape.colour])] if tell_colour else []
    words.append(rng.choice(SHAPE_WORDS[shape.shape] if tell_shape else ["shape", "object", "thing"]))
    place = " " + rng.choice(PLACE_WORDS[shape.place]) if tell_place else ""
    return " ".join(words), place, shape_fact(shape, (tell_colour, tell_shape, tell_size, tell_place))


def _background_ending(rng: random.Random, spec: Shapes, full: bool) -> tuple[str, Fact]:
    style, colour = spec.background.style, spec.background.colour
    style_word, colour_word = rng.choice(STYLE_WORDS[style]), rng.choice(BACKGROUND_WORDS[colour])
    told = "both" if full else rng.choice(["both", "both", "colour", "colour", "style"])
    if told == "both":
        words = f"{style_word} {colour_word}" if rng.random() < 0.5 else f"{colour_word} {style_word}"
        fact = ("background", style, colour)
    elif told == "colour":
        words, fact = colour_word, ("background", None, colour)
    else:
        words, fact = style_word, ("background", style, None)
    preposition = rng.choice(["on", "on", "against", "over", "with"])
    return f" {preposition} {_article(words)} {rng.choice(['background', 'background', 'backdrop'])}", fact


def _article(words: str, article: str | None = None) -> str:
    return f"{article or ('an' if words[0] in 'aeiou' else 'a')} {words}"
