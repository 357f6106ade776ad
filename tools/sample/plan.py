"""What the sample video holds: pictures, titles, sound, speech and the questions it answers. Times in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from tools.tiny_clip.world import Scene

DURATION = 180.0
FPS = 12
WIDTH, HEIGHT = 640, 360
SAMPLE_RATE = 22_050  # espeak-ng's own


@dataclass(frozen=True)
class Picture:
    """One drawn scene. `pan` and `zoom` are the camera's drift over its whole time, in parts of the picture."""

    start: float
    end: float
    caption: str
    scene: Scene | None  # None: a title card
    seed: int
    pan: tuple[float, float] = (0.0, 0.0)
    zoom: float = 0.0


@dataclass(frozen=True)
class Title:
    """Text on the screen: alone on a card, or over a picture's lower edge."""

    start: float
    end: float
    text: str
    on_card: bool


@dataclass(frozen=True)
class Sentence:
    """Something spoken; its end is measured when it has been spoken."""

    start: float
    text: str
    voice: str = "en-us"
    words_per_minute: int = 150


@dataclass(frozen=True)
class Sound:
    """Sound that is no speech. No music: the tiny Whisper, which never heard any, invents words over it."""

    start: float
    end: float
    kind: str  # 'waves' | 'hum'


@dataclass(frozen=True)
class Question:
    """Something to ask, and what must hold where it is answered: a picture seen, a sentence said, or both at once.

    `seen` is a caption of a picture, with `occurrence` where the same picture comes twice; `said` starts a sentence.
    """

    query: str
    seen: str | None = None
    said: str | None = None
    occurrence: int | None = None

    @property
    def kind(self) -> str:
        return "both" if self.seen and self.said else "seen" if self.seen else "said"


# No sentence starts when the picture changes. The camera drifts gently; the board and the lights do not move.
PICTURES = [
    Picture(0, 8, "a title card", None, 0),
    Picture(8, 22, "a red car on a road", Scene("car", "red"), 11, pan=(0.03, 0.0)),
    Picture(22, 34, "a house with a blue roof", Scene("house", "blue"), 12, zoom=0.06),
    Picture(34, 46, "a yellow hot air balloon", Scene("balloon", "yellow"), 13, pan=(0.0, -0.03)),
    Picture(46, 58, "a green tree on a hill", Scene("tree", "green"), 14, zoom=-0.05),
    Picture(58, 72, "a sailing boat with a white sail", Scene("boat", "white"), 15, pan=(0.03, 0.0)),
    Picture(72, 84, "a rainbow in the sky", Scene("rainbow"), 16, zoom=0.05),
    Picture(84, 108, "a black and white chessboard", Scene("chessboard"), 17),
    Picture(108, 115, "a traffic light showing red", Scene("traffic light", "red"), 18),
    Picture(115, 122, "a traffic light showing green", Scene("traffic light", "green"), 18),
    Picture(122, 134, "a campfire at night", Scene("fire"), 19, zoom=0.06),
    Picture(134, 144, "snow falling at night", Scene("snowfall"), 20, pan=(0.0, -0.04)),
    Picture(144, 156, "a red car on a road", Scene("car", "red"), 21, pan=(-0.03, 0.0)),
    Picture(156, 166, "a crescent moon in the night sky", Scene("moon"), 26, zoom=0.05),
    Picture(166, 174, "an orange cat", Scene("cat", "orange"), 23, zoom=0.04),
    Picture(174, 180, "a title card", None, 0),
]

TITLES = [
    Title(0, 8, "Cuepoint sample", on_card=True),
    Title(60, 68, "Part two: the sea", on_card=False),
    Title(174, 180, "The end", on_card=True),
]

SOUNDS = [
    Sound(0, 7.5, "waves"),
    Sound(169.5, 180, "hum"),
]

# Every sentence is of tools/tiny_whisper/grammar.py; verify_sample.py checks that it is transcribed word for word.
# Nothing sounds at all from 124 to 150.4.
SENTENCES = [
    Sentence(9.3, "welcome to the first lesson"),
    Sentence(12.6, "this video is about history"),
    Sentence(17.4, "the number seven is on the green door"),
    Sentence(23.7, "there are seven yellow birds in the garden"),
    Sentence(29.2, "the weather is sunny on friday"),
    Sentence(36.1, "the old train stops near the river", "en-gb"),
    Sentence(41.3, "my teacher likes the blue boat", "en-gb"),
    Sentence(48.6, "we need five new tables and nine chairs"),
    Sentence(53.8, "the doctor opens the old window"),
    Sentence(62.4, "in the evening the student goes to the office"),
    Sentence(68.3, "the engineer reads a new book about networks"),
    Sentence(74.6, "the weather is warm on saturday"),
    Sentence(79.5, "can you find the small rabbit"),
    Sentence(87.2, "we will meet on tuesday at ten", "en-gb"),
    Sentence(93.6, "two and three make five", "en-gb"),
    Sentence(100.4, "anna and peter are in the kitchen"),
    Sentence(110.3, "write the number six on the green square"),
    Sentence(117.2, "what is the happy dog doing"),
    Sentence(121.1, "every sunday david plays music in the evening"),
    Sentence(150.4, "let us count to twelve"),
    Sentence(157.7, "the third chapter begins on wednesday night"),
    Sentence(163.2, "today we learn about science and history"),
]

QUESTIONS = [
    Question("a house with a blue roof", seen="a house with a blue roof"),
    Question("when does the yellow balloon appear", seen="a yellow hot air balloon"),
    Question("a tree with green leaves", seen="a green tree on a hill"),
    Question("where is the sailboat with a white sail", seen="a sailing boat with a white sail"),
    Question("show me a rainbow", seen="a rainbow in the sky"),
    Question("a chess board", seen="a black and white chessboard"),
    Question("the traffic light is green", seen="a traffic light showing green"),
    Question("a red traffic light", seen="a traffic light showing red"),
    Question("a fire burning", seen="a campfire at night"),
    Question("when is it snowing", seen="snow falling at night"),
    Question("the moon and stars at night", seen="a crescent moon in the night sky"),
    Question("a kitten", seen="an orange cat"),
    Question("where do the seven yellow birds come up", said="there are seven yellow birds"),
    Question("where does the old train stop", said="the old train stops"),
    Question("how many tables and chairs do we need", said="we need five new tables"),
    Question("the engineer reads a book about networks", said="the engineer reads"),
    Question("when do we meet on tuesday", said="we will meet on tuesday"),
    Question("who is in the kitchen", said="anna and peter"),
    Question("when does the third chapter begin", said="the third chapter"),
    Question("who plays music every sunday", said="every sunday david"),
    Question(
        "a red car while they count to twelve", seen="a red car on a road", said="let us count to twelve", occurrence=2
    ),
    Question(
        "a red car while they say the number seven is on the door",
        seen="a red car on a road",
        said="the number seven is on",
        occurrence=1,
    ),
    Question("a rainbow while they talk about the weather", seen="a rainbow in the sky", said="the weather is warm"),
    Question(
        "a house with a blue roof while they talk about the weather",
        seen="a house with a blue roof",
        said="the weather is sunny",
    ),
    Question(
        "the traffic light is green while they ask what the happy dog is doing",
        seen="a traffic light showing green",
        said="what is the happy dog",
    ),
]
