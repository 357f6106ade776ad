"""The sentences the tiny Whisper knows: 54 templates over 211 words."""

from __future__ import annotations

import random
import re

SLOTS = {
    "colour": "red blue green yellow black white orange purple",
    "shape": "circle square triangle star line box",
    "animal": "dog cat bird horse fish rabbit tiger elephant",
    "number": "zero one two three four five six seven eight nine ten eleven twelve twenty",
    "day": "monday tuesday wednesday thursday friday saturday sunday",
    "place": "garden kitchen river mountain city school office forest beach street",
    "person": "teacher doctor student woman man child engineer friend",
    "topic": "databases networks music weather history science computers language pictures search video sound",
    "object": "car train boat table chair book phone camera window door ball",
    "direction": "left right top bottom middle",
    "kind": "big small old new fast slow happy quiet",
    "does": "runs walks jumps sleeps sits stands waits plays",
    "moves": "moves turns jumps goes",
    "order": "first second third last next",
    "time": "morning evening afternoon night",
    "where": "near under behind in at",
    "around": "in near at",
    "beside": "under behind near",
    "part": "lesson chapter meeting part",
    "weather": "sunny rainy cold warm windy",
    "name": "anna peter maria david",
}
WORDS_OF_SLOT = {slot: words.split() for slot, words in SLOTS.items()}

TEMPLATES = """
the {colour} {shape} {moves} to the {direction}
the {colour} {shape} is {beside} the {colour} {shape}
a {kind} {colour} {shape} is on the {direction}
there is a {colour} {object} {where} the {place}
there are {number} {colour} birds in the {place}
today we talk about {topic}
today we learn about {topic} and {topic}
on {day} we talk about {topic}
please remember the number {number}
please remember the numbers {number} and {number}
the number {number} is on the {colour} {object}
the {kind} {animal} {does} {where} the {place}
the {colour} {animal} {does} {beside} the {object}
a {animal} and a {animal} are in the {place}
my {person} likes the {colour} {object}
the {person} {does} {where} the {place}
the {person} reads a {kind} book about {topic}
the {person} opens the {kind} {object}
the {person} closes the {colour} door
can you see the {colour} {object} {beside} the {animal}
can you find the {kind} {animal}
where is the {colour} {object}
where is the {order} {shape}
this video is about {topic}
this is the {order} {part} about {topic}
the {order} {part} begins on {day} {time}
we will meet on {day} at {number}
the {part} starts at {number} in the {time}
the meeting ends on {day}
now look at the {colour} {shape} in the {direction}
look at the {kind} {object} {beside} the {person}
in the {time} the {person} goes to the {place}
the weather is {weather} on {day}
tomorrow it will be {weather} {around} the {place}
yesterday i was {around} the {place} with my {person}
i want to buy a {kind} {object} and a {colour} {object}
we need {number} {kind} tables and {number} chairs
let us count to {number}
{number} and {number} make {number}
{number} {number} {number} {number}
write the number {number} on the {colour} {shape}
show me the {order} {colour} {shape}
how do {topic} work
what is the {kind} {animal} doing
welcome to the {order} {part}
thank you for watching this video about {topic}
thank you very much
hello my name is {name}
{name} and {name} are {around} the {place}
{name} has a {colour} {object} and {number} {kind} dogs
here is a question about {topic}
that was the answer to the {order} question
every {day} {name} plays music in the {time}
the {kind} train stops {where} the {place}
""".strip().splitlines()
_SLOT = re.compile(r"\{(\w+)\}")


def sentence(rng: random.Random) -> str:
    """One sentence at random."""
    return _SLOT.sub(lambda match: rng.choice(WORDS_OF_SLOT[match.group(1)]), rng.choice(TEMPLATES))


def knows(text: str) -> bool:
    """Whether some template makes this sentence."""
    patterns = (_SLOT.sub(lambda match: f"(?:{'|'.join(WORDS_OF_SLOT[match.group(1)])})", t) for t in TEMPLATES)
    return any(re.fullmatch(pattern, text) for pattern in patterns)


def vocabulary() -> list[str]:
    """Every word there is, sorted."""
    words = {word for template in TEMPLATES for word in _SLOT.sub(" ", template).split()}
    return sorted(words.union(*WORDS_OF_SLOT.values()))


def split(train: int, held_out: int = 400, seed: int = 7) -> tuple[list[str], list[str]]:
    """Distinct sentences for training and for testing; none is in both. More `train` keeps the first ones."""
    rng = random.Random(seed)
    test: dict[str, None] = {}
    while len(test) < held_out:
        text = sentence(rng)
        if len(text.split()) >= 3 and text != "thank you very much":
            test[text] = None
    known: dict[str, None] = {}
    while len(known) < train:
        text = sentence(rng)
        if text not in test:
            known[text] = None
    return list(known), list(test)
