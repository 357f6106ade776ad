"""The 500 texts that every tokeniser is compared on: what people write, and what they should not."""

from __future__ import annotations

import random
import unicodedata

COUNT = 500

_PLAIN = [
    "a red car on a road",
    "a photo of a cat",
    "two people shaking hands in front of a white board",
    "When does the speaker talk about the budget?",
    "somebody pours coffee into a blue cup, then leaves the room",
    "It's 12 o'clock; they're here, I've won, we'll see, he'd go, I'm in.",
    "don't can't won't shan't y'all o'er rock'n'roll 'tis 'S 'Ll",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG",
    "iPhone 15 Pro Max vs. Galaxy S24 Ultra (2024)",
    "e-mail: someone@example.com, https://example.com/a?b=c&d=%20#e",
    "C:\\Users\\name\\file.txt /usr/local/bin ~/.config ../../etc",
    "def f(x): return x**2 + 3*x - 1  # comment",
    '{"key": [1, 2.5, null, true], "s": "a\\nb"}',
    '<p class="a">Hello &amp; <b>bye</b>&nbsp;&lt;3</p><br/>',
    "<script>alert('x')</script>",
    "SELECT * FROM users WHERE name = 'a' OR 1=1; --",
]
_NUMBERS = [
    "0",
    "3.14159265358979",
    "1,234,567.89 and 1.234.567,89",
    "2026-11-23T18:38:15+00:00",
    "00:01:02.345 --> 00:01:05,000",
    "+49 (0) 30 123456-78",
    "½ ¾ ² ³ ₂ Ⅷ ⅷ ④ ⑩ ㊿ 𝟘𝟙𝟚",
    "٠١٢٣٤٥ ०१२३ ๐๑๒ 一二三 〇",
    "1st 2nd 3rd 4th 10% $5 €6 £7 ¥8 ₹9 ₿1",
    "0x1F 0b1010 1e-10 -1 ±2 −3 10⁶",
]
_SCRIPTS = [
    "Schöne Grüße aus Köln – naïve façade, Ærøskøbing, Łódź, İstanbul, ıspanak",
    "ΟΔΟΣ ΣΑΣ Σίσυφος ὈΔΥΣΣΕΎΣ ΑΣ. Σ",
    "STRASSE straße ẞ ﬁ ﬂ ﬃ ĳ Ǆ ǆ ŉ",
    "Съешь же ещё этих мягких французских булок, да выпей чаю",
    "日本語のテキスト、カタカナ、ﾊﾝｶｸ、全角ＡＢＣ１２３",
    "中文：红色的汽车在路上。繁體字！",
    "한국어 문장입니다. 각",
    "مرحبا بالعالم، كيف حالك؟ ﷽ ﻼ",
    "שלום עולם עִבְרִית",
    "नमस्ते दुनिया क्षत्रिय",
    "สวัสดีชาวโลก ภาษาไทย",
    "Xin chào thế giới, tiếng Việt",
    "გამარჯობა ᲒᲐᲛᲐᲠᲯᲝᲑᲐ Հայերեն ﬓ",
    "አማርኛ ᚠᚢᚦ ꙮ 𐍈 𒀀 𓀀 𝓗𝓮𝓵𝓵𝓸 𝔄𝔅 ＨＥＬＬＯ",
    "red машина 自動車 سيارة car",
    "ǅungla ǈ ᾳ ᾼ ᾈ ΐ ΰ ẖ ǰ",
    "İ I i ı İİ ͅ Å Å Ω Ω K K",
]
_MARKS = [
    "e\u0301 é n\u0303 a\u0308\u0323 q\u0307\u0323 \u0301 alone",
    "Z\u0351\u036b\u0343\u036a\u0302a\u0340\u0345\u0341l\u0334g\u0321o\u0489",
    "\u1100\u1161\u11a8 가\u11a8 \u115f\u1160",
    "\u0958 \u0915\u093c \u2126 \u212b \ufb1d \ufb2a",
    "\u2f800 \uf900 \ufa0e \U0002f81a",
    "👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 1️⃣ ❤️ ❤︎ ☺ 🫠 🧑🏿‍🚀",
    "😀😀😀😀 hello😀world 🙂. :-) ¯\\_(ツ)_/¯ (╯°□°)╯︵ ┻━┻",
]
_SPACES = [
    "",
    " ",
    "\t\n\r\x0b\x0c",
    "   leading and trailing   ",
    "many      spaces\t\ttabs\n\n\nlines\r\n",
    "no\u00a0break thin\u2009space ideographic\u3000space ogham\u1680space",
    "zero\u200bwidth\u200cjoin\u200der\u2060word\ufeffmark",
    "\ufeffbyte order mark",
    "line\u2028para\u2029next\u0085end",
    "\u180emongolian soft\u00adhyphen \u061cmark \u202egnirts\u202c",
]
_CONTROLS = [
    "nul\x00in the middle",
    "\x01\x02\x03\x04\x05\x06\x07\x08bell",
    "esc\x1b[31mred\x1b[0m del\x7f c1\x80\x85\x8f\x90\x9f",
    "\ufffd \ufffe \uffff \U0010ffff \ue000 \U000f0000",
    "\ufff9annotated\ufffatext\ufffb \u2061\u2062\u2063",
    "tag\U000e0041\U000e0042 var\ufe0f\ufe00",
]
_SPECIAL = [
    "<|endoftext|>",
    "<|startoftext|>",
    "a<|endoftext|>b",
    "a <|endoftext|> b <|startoftext|> c",
    "<|ENDOFTEXT|> <|EndOfText|>",
    "<|endoftext|",
    "|endoftext|> <||endoftext|>",
    "<|endoftext|><|endoftext|><|endoftext|>",
    "<s>text</s>",
    "a </s> b  </s>c<s> d",
    "<pad> <unk> <mask> [CLS] [SEP] [MASK] [PAD] [UNK]",
    "x <mask> y<mask>z",
    "<unk>",
    "<UNK> < s > </ s>",
    "▁ ▁a a▁b ▁▁▁ _a_ ▁<s>▁",
    "Ġ Ċ </w> a</w> b</w>c ##ing",
    "<0x0A> <0xFF>",
]
_PUNCTUATION = [
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    "...!!!??? --- ___ *** ### ~~~",
    "“quoted” ‘single’ «guillemets» „unten“ … – — ‒ ― ‐ ‑",
    "¿Qué? ¡Hola! §12 ¶ † ‡ • ‣ ′ ″ ‰ № ℃ ℉ ™ ® © ℠",
    "← ↑ → ↓ ∀ ∃ ∑ ∫ √ ∞ ≈ ≠ ≤ ≥ ⊂ ⊕ α β γ µ μ",
    "、。「」『』【】〜～！？：；（）",
    "a.b,c;d:e!f?g'h\"i(j)k[l]m{n}o<p>q/r\\s|t@u#v$w%x^y&z*",
    "''s 's's 'S'S 're're n't 'll'll'll",
    "a'b''c'''d",
]
_LONG = [
    "word " * 120,
    "a red car on a road and " * 40,
    "x" * 700,
    "superkalifragilistisch" * 30,
    "日本" * 200,
    "😀" * 120,
    " " * 500 + "end",
    "!" * 400,
    "1234567890" * 60,
    "ab " * 37,
    "ab " * 75,
    "ab " * 76,
    "e\u0301" * 300,
]
_ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0123456789",
    " \t\n",
    ".,;:!?'\"()-_/\\<>|&%$#@",
    "äöüßéèñçøåıİŁΣςσΑα",
    "привет",
    "日本語中文カタ",
    "한국어",
    "العربية",
    "नमस्ते",
    "😀👍🏽🎉❤️\u200d",
    "\u0300\u0301\u0308\u0323",
    "\u00a0\u2003\u200b\ufeff\u3000\u0085",
    "ﬁＡ①Ⅳ㎏™½",
]


def texts() -> list[str]:
    """All of the above, then mixtures of them and of their letters, the same every time."""
    fixed = [
        text
        for group in (_PLAIN, _NUMBERS, _SCRIPTS, _MARKS, _SPACES, _CONTROLS, _SPECIAL, _PUNCTUATION, _LONG)
        for text in group
    ]
    rng = random.Random(500)
    pieces = [piece for text in fixed if len(text) < 200 for piece in text.split(" ")]
    made = list(fixed)
    while len(made) < COUNT:
        kind = rng.random()
        if kind < 0.45:
            text = " ".join(rng.choice(pieces) for _ in range(rng.randint(1, 20)))
        elif kind < 0.6:
            text = "".join(rng.choice(pieces) for _ in range(rng.randint(2, 8)))
        elif kind < 0.8:
            chosen = rng.sample(_ALPHABETS, rng.randint(1, 4))
            text = "".join(rng.choice(rng.choice(chosen)) for _ in range(rng.randint(1, 60)))
        elif kind < 0.9:
            words = ("".join(rng.choices(_ALPHABETS[0], k=rng.randint(1, 12))) for _ in range(rng.randint(1, 90)))
            text = " ".join(word.title() if rng.random() < 0.2 else word for word in words)
        else:
            text = "".join(chr(_code_point(rng)) for _ in range(rng.randint(1, 25)))
        if text not in made:
            made.append(text)
    return made


def _code_point(rng: random.Random) -> int:
    """One that has long been assigned: what the newest are depends on each side's Unicode version."""
    while True:
        code = rng.choice(
            [rng.randrange(0x20, 0x3000), rng.randrange(0x3000, 0x10000), rng.randrange(0x10000, 0x1FB00)]
        )
        if unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Cs"):
            return code
