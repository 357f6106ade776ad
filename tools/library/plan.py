"""What a library holds, at random from one seed: videos of shots and sentences, and questions with their true spans."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from tools.tiny_clip.captions import caption, variant_phrases
from tools.tiny_clip.world import SCENES, Fact, Scene, Shapes, Spec, facts, random_scene, random_shapes
from tools.tiny_whisper import grammar

FPS = 4  # shots begin and end on a frame, so that their times are exact
SIZES = [(320, 180), (240, 180), (384, 216)]
VOICES = ["en-us", "en-gb", "en-us+m3", "en-us+f3"]
# Shot lengths in seconds and pauses between sentences: cuts come fast, as they do mostly, or hardly ever.
PACES = {"fast": ((2.5, 6), (1, 6)), "common": ((5, 16), (0.6, 8)), "slow": ((20, 70), (0.6, 4))}

# Of a sentence's template: questions about it, with {0}, {1} for its slots, and the words beside those that tell which
# sentences answer it: every sentence that holds them all.
ABOUT: dict[str, list[tuple[str, str]]] = {
    "the {colour} {shape} {moves} to the {direction}": [("what does the {0} {1} do to the {3}", "to the")],
    "the {colour} {shape} is {beside} the {colour} {shape}": [("the {0} {1} is {2} the {3} {4}", "is")],
    "there is a {colour} {object} {where} the {place}": [("where is there a {0} {1} {2} the {3}", "there is")],
    "there are {number} {colour} birds in the {place}": [("they mention {0} {1} birds", "birds")],
    "on {day} we talk about {topic}": [("what happens on {0} when we talk about {1}", "talk")],
    "today we learn about {topic} and {topic}": [("when do we learn about {0} and {1}", "learn")],
    "please remember the numbers {number} and {number}": [("remember the numbers {0} and {1}", "remember numbers")],
    "the number {number} is on the {colour} {object}": [("which number is on the {1} {2}", "number is on")],
    "the {kind} {animal} {does} {where} the {place}": [("the {0} {1} in a {4}", "the")],
    "the {colour} {animal} {does} {beside} the {object}": [("what does the {0} {1} do {3} the {4}", "the")],
    "a {animal} and a {animal} are in the {place}": [("where are a {0} and a {1}", "are")],
    "my {person} likes the {colour} {object}": [("who likes the {1} {2}", "likes")],
    "the {person} reads a {kind} book about {topic}": [("the {0} reads a book about {2}", "reads book")],
    "the {person} opens the {kind} {object}": [("who opens the {1} {2}", "opens")],
    "the {person} closes the {colour} door": [("does the {0} close the {1} door", "closes door")],
    "this is the {order} {part} about {topic}": [("the {0} {1} about {2}", "about")],
    "the {order} {part} begins on {day} {time}": [("when does the {0} {1} begin", "begins")],
    "we will meet on {day} at {number}": [("when do we meet on {0}", "meet"), ("they meet at {1}", "meet at")],
    "the {part} starts at {number} in the {time}": [("what starts at {1} in the {2}", "starts")],
    "in the {time} the {person} goes to the {place}": [("when does the {1} go to the {2}", "goes")],
    "the weather is {weather} on {day}": [("how is the weather on {1}", "weather"), ("{0} weather", "weather")],
    "tomorrow it will be {weather} {around} the {place}": [("will it be {0} {1} the {2} tomorrow", "tomorrow")],
    "yesterday i was {around} the {place} with my {person}": [
        ("i was {0} the {1} with my {2} yesterday", "yesterday my")
    ],
    "i want to buy a {kind} {object} and a {colour} {object}": [("buy a {0} {1} and a {2} {3}", "buy")],
    "we need {number} {kind} tables and {number} chairs": [("how many {1} tables and {2} chairs do we need", "need")],
    "write the number {number} on the {colour} {shape}": [("write a number on the {1} {2}", "write")],
    "what is the {kind} {animal} doing": [("they ask what the {0} {1} is doing", "doing")],
    "{name} and {name} are {around} the {place}": [("{0} and {1} are {2} the {3}", "are")],
    "{name} has a {colour} {object} and {number} {kind} dogs": [("who has a {1} {2} and {3} dogs", "has dogs")],
    "every {day} {name} plays music in the {time}": [("who plays music every {0}", "plays music every")],
    "the {kind} train stops {where} the {place}": [("where does the {0} train stop", "train stops")],
}
# What neither world knows at all.
FOREIGN = [
    "a helicopter landing on a roof",
    "the quarterly revenue of the company",
    "a woman plays the violin",
    "how to bake sourdough bread",
    "two men boxing in a ring of ropes",
    "a surgeon washes her hands",
    "the stock market crashed",
    "an airport at dawn",
    "passport control queue",
    "a goalkeeper saves a penalty",
    "photosynthesis in plants",
    "the president signs a treaty",
    "a bride throws her bouquet",
    "welding sparks in a factory",
    "a submarine dives",
    "the recipe asks for garlic",
]
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Shot:
    """One drawn picture; `pan` and `zoom` are the camera's drift over its time, in parts of the picture."""

    start: float
    end: float
    spec: Spec
    seed: int
    pan: tuple[float, float]
    zoom: float

    @property
    def is_still(self) -> bool:
        return self.pan == (0, 0) and self.zoom == 0


@dataclass(frozen=True)
class Sentence:
    """Something to be spoken; when it ends is known when it has been."""

    start: float
    text: str
    template: str
    slots: tuple[str, ...]
    voice: str
    words_per_minute: int


@dataclass
class Video:
    name: str
    size: tuple[int, int]
    duration: float
    seed: int
    shots: list[Shot] = field(default_factory=list)
    gap: tuple[float, float] = (1, 6)
    noise: list[tuple[float, float, str]] = field(default_factory=list)
    speaks: bool = True
    has_sound: bool = True


@dataclass(frozen=True)
class Hidden:
    """What this library never shows, to ask for it: scenes or looks of them, and colours of shapes."""

    scenes: frozenset[tuple[str, str | None]]
    shapes: frozenset[tuple[str, str]]

    @staticmethod
    def draw(rng: random.Random) -> Hidden:
        looks = [(name, look) for name, variants in SCENES.items() for look in variants if name not in _UNASKED]
        whole = rng.sample([name for name in SCENES if name not in _UNASKED], 5)
        hidden = {look for look in looks if look[0] in whole} | set(rng.sample(looks, 12))
        pairs = [(colour, shape) for colour in _colours() for shape in _shapes()]
        return Hidden(frozenset(hidden), frozenset(rng.sample(pairs, 14)))

    def hides(self, spec: Spec) -> bool:
        if isinstance(spec, Scene):
            return (spec.name, spec.variant) in self.scenes
        return any((shape.colour, shape.shape) in self.shapes for shape in spec.shapes)


# Drawn by ffmpeg, or so like another picture that no question about it has one answer.
_UNASKED = {"test pattern", "screen", "slide", "colour bars"}


def _colours() -> list[str]:
    return grammar.WORDS_OF_SLOT["colour"]


def _shapes() -> list[str]:
    return ["circle", "square", "triangle", "star", "ring", "cross", "heart", "diamond"]


def plan_videos(rng: random.Random, minutes: float, hidden: Hidden) -> list[Video]:
    """Videos of 2 to 16 minutes, `minutes` in all."""
    videos: list[Video] = []
    left = minutes * 60
    while left > 0:
        duration = float(min(max(120, round(left)), rng.randint(120, 960)))
        left -= duration
        pace = rng.choices(list(PACES), [0.25, 0.55, 0.2])[0]
        shot_seconds, gap = PACES[pace]
        video = Video(f"{len(videos) + 1:03}.mp4", rng.choice(SIZES), duration, rng.getrandbits(31), gap=gap)
        # The first two speak, so that small libraries do.
        silent = len(videos) > 1 and rng.random() < 0.12
        video.speaks, video.has_sound = not silent, not (silent and rng.random() < 0.5)
        at = 0.0
        while at < duration:
            end = min(duration, round((at + rng.uniform(*shot_seconds)) * FPS) / FPS)
            if duration - end < 2:
                end = duration
            video.shots.append(_shot(rng, at, end, hidden))
            at = end
        for _ in range(rng.randint(0, 3)):
            start = rng.uniform(0, duration - 30)
            video.noise.append((start, start + rng.uniform(8, 30), rng.choice(["waves", "hum"])))
        videos.append(video)
    return videos


def _shot(rng: random.Random, start: float, end: float, hidden: Hidden) -> Shot:
    while True:
        roll = rng.random()
        if roll < 0.5:
            spec: Spec = random_scene(rng, held_out=rng.random() < 0.05)
        else:
            spec = random_shapes(rng, held_out_shape=rng.random() < 0.1)
        if not hidden.hides(spec) and spec != Scene("test pattern"):
            break
    drift, amount = rng.choice(["none", "pan", "zoom"]), min(0.06, 0.005 * (end - start))
    pan = (rng.choice([-amount, amount]), rng.uniform(-amount, amount) / 2) if drift == "pan" else (0, 0)
    zoom = rng.choice([-amount, amount]) if drift == "zoom" else 0.0
    return Shot(start, end, spec, rng.getrandbits(31), pan, zoom)


class Speaker:
    """New sentences: none that the tiny Whisper was trained on."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.trained_on = set(grammar.split(16_000)[0])

    def sentence(self, start: float, templates: list[str] = grammar.TEMPLATES) -> Sentence:
        while True:
            template = self.rng.choice(templates)
            slots: list[str] = []

            def fill(match: re.Match) -> str:
                slots.append(self.rng.choice(grammar.WORDS_OF_SLOT[match.group(1)]))
                return slots[-1]

            text = _SLOT.sub(fill, template)
            if text not in self.trained_on:
                return Sentence(
                    start, text, template, tuple(slots), self.rng.choice(VOICES), self.rng.randint(135, 170)
                )


# --- questions ---

Span = tuple[float, float]


@dataclass(frozen=True)
class Spoken:
    sentence: Sentence
    end: float


@dataclass
class Question:
    """`spans` by video; none for what is not there. `of` says what kind of thing an absent one asks for."""

    query: str
    kind: str
    spans: dict[str, list[Span]]
    of: str | None = None


def about(sentence: Sentence, rng: random.Random) -> tuple[str, frozenset[str]]:
    """A question about a sentence, and the words of every sentence that answers it."""
    question, keys = rng.choice(ABOUT[sentence.template])
    told = {sentence.slots[int(i)] for i in re.findall(r"\{(\d)\}", question)}
    text = re.sub(r"\ba (?=orange|old|elephant|engineer|office)", "an ", question.format(*sentence.slots))
    return text, frozenset(told | set(keys.split()))


def shown(videos: list[Video], told: frozenset[Fact]) -> dict[str, list[Span]]:
    """Where pictures are shown of which all of `told` is true; shots that follow each other are one span."""
    found: dict[str, list[Span]] = {}
    for video in videos:
        for shot in video.shots:
            if told <= facts(shot.spec):
                spans = found.setdefault(video.name, [])
                if spans and spans[-1][1] == shot.start:
                    spans[-1] = (spans[-1][0], shot.end)
                else:
                    spans.append((shot.start, shot.end))
    return found


def said(spoken: dict[str, list[Spoken]], told: frozenset[str]) -> dict[str, list[Span]]:
    """Where a sentence with all these words is spoken."""
    found: dict[str, list[Span]] = {}
    for name, sentences in spoken.items():
        for one in sentences:
            if told <= set(one.sentence.text.split()):
                found.setdefault(name, []).append((one.sentence.start, one.end))
    return found


def _count(spans: dict[str, list[Span]]) -> int:
    return sum(map(len, spans.values()))


def _caption(rng: random.Random, spec: Spec) -> tuple[str, frozenset[Fact]]:
    """What a person might type for a picture: a scene by its look, shapes in all or some detail."""
    if isinstance(spec, Scene):
        phrases = variant_phrases(spec)
        if phrases and rng.random() < 0.7:
            return rng.choice(phrases), frozenset({("scene", spec.name, spec.variant)})
    return caption(rng, spec, full=isinstance(spec, Shapes) and rng.random() < 0.6)


def ask(
    rng: random.Random, videos: list[Video], spoken: dict[str, list[Spoken]], hidden: Hidden, counts: dict[str, int]
) -> list[Question]:
    """`counts` questions of each kind ('seen', 'said', 'both', 'absent'); each happens three times at most."""
    asked: dict[str, Question] = {}
    shots = [(video, shot) for video in videos for shot in video.shots if _askable(shot.spec)]
    lines = [(name, one) for name, all_ in spoken.items() for one in all_ if one.sentence.template in ABOUT]

    def fill(kind: str, make) -> None:
        wanted = len(asked) + counts.get(kind, 0)
        for _ in range(100 * counts.get(kind, 0)):
            if len(asked) >= wanted:
                break
            question = make()
            if question and question.query not in asked:
                asked[question.query] = question

    def seen_one() -> Question | None:
        query, told = _caption(rng, rng.choice(shots)[1].spec)
        spans = shown(videos, told)
        return Question(query, "seen", spans) if 1 <= _count(spans) <= 3 else None

    def said_one() -> Question | None:
        query, told = about(rng.choice(lines)[1].sentence, rng)
        spans = said(spoken, told)
        return Question(query, "said", spans) if 1 <= _count(spans) <= 3 else None

    def both_one() -> Question | None:
        name, line = rng.choice(lines)
        (video,) = [v for v in videos if v.name == name]
        start, end = line.sentence.start, line.end
        around = [s for s in video.shots if s.start <= start and end <= s.end and _askable(s.spec)]
        if not around:
            return None
        picture, told = _caption(rng, around[0].spec)
        words, keys = about(line.sentence, rng)
        if re.match("when|where|what|who|how|which|show|find|search|look|is |does |will ", picture + " "):
            return None
        if re.match("when|where|what|who|how|which|they|does|will", words):
            words, keys = line.sentence.text, frozenset(line.sentence.text.split())
        common: dict[str, list[Span]] = {}
        for other, spans in said(spoken, keys).items():
            for a in spans:
                for b in shown(videos, told).get(other, []):
                    if min(a[1], b[1]) - max(a[0], b[0]) >= 0.5:
                        common.setdefault(other, []).append((max(a[0], b[0]), min(a[1], b[1])))
        return Question(f"{picture} while they say {words}", "both", common) if 1 <= _count(common) <= 3 else None

    speaker = Speaker(rng)
    sentences = [set(one.sentence.text.split()) for all_ in spoken.values() for one in all_]

    def is_mentioned(query: str) -> bool:
        """Whether one sentence has all of the query's words that carry meaning: then it is there, if only as words."""
        told = {word for word in query.replace(",", "").split() if word in _MEANING}
        return bool(told) and any(told <= sentence for sentence in sentences)

    def absent_one() -> Question | None:
        if rng.random() < 0.5:
            if rng.random() < 0.6:
                name, look = rng.choice(sorted(hidden.scenes, key=str))
                spec: Spec = Scene(name, look)
            else:
                spec = random_shapes(rng)
                if not hidden.hides(spec):
                    return None
            query, told = _caption(rng, spec)
            return None if shown(videos, told) or is_mentioned(query) else Question(query, "absent", {}, "seen")
        query, told = about(speaker.sentence(0, list(ABOUT)), rng)
        return None if said(spoken, told) or is_mentioned(query) else Question(query, "absent", {}, "said")

    fill("seen", seen_one)
    fill("said", said_one)
    fill("both", both_one)
    fill("absent", absent_one)
    for query in rng.sample(FOREIGN, min(len(FOREIGN), counts.get("absent", 0) // 5)):
        asked[query] = Question(query, "absent", {}, "foreign")
    return list(asked.values())


# Words of the spoken grammar that tell one thing from another, less those of place and time that any sentence may have.
_MEANING = {
    word
    for slot, words in grammar.WORDS_OF_SLOT.items()
    if slot not in ("where", "around", "beside", "does", "moves")
    for word in words
}


def _askable(spec: Spec) -> bool:
    if isinstance(spec, Scene):
        return spec.name not in _UNASKED
    return len(spec.shapes) > 0
