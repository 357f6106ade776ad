"""Whisper's prompts: the tokens that transformers makes of texts, and what `generate` says after a prompt, random weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import WhisperTokenizerFast

from .whisper import CUTS, RATE, SAMPLE, TINY, _decode, _generate, _lines, _load, _make_random

TEXTS = ["the number seven", "  History, search and\tthe Green door.\n", "Fritz Müller 東京 🚗"]
CONTEXT = 64
"""Of the random model."""


def make(folder: Path) -> None:
    random = folder / "whisper-random"
    model, sample = _load(random, _make_random(random)), _decode(SAMPLE)
    tokenizer = WhisperTokenizerFast.from_pretrained(TINY)
    texts = {text: tokenizer.get_prompt_ids(text).tolist()[1:] for text in TEXTS}
    clips = []
    for i, cut in enumerate(CUTS[:6]):
        # At most what openai/whisper keeps of a prompt: half of the context, less one.
        prompt = [(7 * i + 5 * k) % 60 for k in range([1, 4, 12, 30, 31, 31][i])]
        ids = torch.tensor([model.generation_config.prev_sot_token_id, *prompt])
        pcm = sample[round(cut[0] * RATE) : round(cut[1] * RATE)]
        options = {"language": "de", "task": "translate", "max_new_tokens": min(32, CONTEXT - len(ids) - 3)}
        clips.append({"cut": cut, "prompt": prompt, **_generate(model, random, pcm, prompt_ids=ids, **options)})
    (folder / "whisper-prompts.json").write_text(f'{{"texts": {json.dumps(texts)},\n"clips": {_lines(clips)}}}\n')
