"""A small SigLIP of random weights: its folder, its tokens, and its embeddings and probabilities in PyTorch."""

from __future__ import annotations

import math
import string
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers, processors
from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

from .clip import rounded, unit
from .files import write_json
from .small import export, new_folder, train_pieces, unigram, write_configs
from .texts import texts

CONTEXT = 16
SIDE = 32
WIDTH = 32
# Near those of the published checkpoints, and so that the cosines of random weights give probabilities on both sides of one half.
SCALE = 110.0
BIAS = -9.5


def make(folder: Path) -> None:
    torch.manual_seed(1)
    pieces, charsmap = train_pieces(700)
    tokenizer = unigram(["<pad>", "</s>", "<unk>"], pieces, "<unk>", [])
    # As transformers' SiglipTokenizer cleans a text: small letters, no ASCII punctuation, single spaces.
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            *(normalizers.Replace(mark, "") for mark in string.punctuation),
            normalizers.Precompiled(charsmap),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.add_special_tokens([AddedToken(t, lstrip=True, rstrip=True, normalized=False) for t in ("</s>", "<unk>")])

    shape = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {
        **shape,
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": CONTEXT,
        "projection_size": WIDTH,
    }
    vision = {**shape, "image_size": SIDE, "patch_size": 16}
    config = SiglipConfig(text_config=text, vision_config=vision)
    config._attn_implementation = "eager"
    model = SiglipModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    with torch.no_grad():
        model.logit_scale.fill_(math.log(SCALE))
        model.logit_bias.fill_(BIAS)

    target = new_folder(folder / "siglip")
    square = {"height": SIDE, "width": SIDE}
    processor = SiglipImageProcessorPil(size=square, resample=3, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    write_configs(
        target,
        tokenizer,
        {
            # The hub's files leave out what is a default of the class: here the width of an embedding.
            "config.json": {
                "model_type": "siglip",
                "logit_scale_trained": model.logit_scale.item(),
                "logit_bias_trained": model.logit_bias.item(),
                "text_config": {"model_type": "siglip_text_model", "vocab_size": text["vocab_size"]},
                "vision_config": {"model_type": "siglip_vision_model", "image_size": SIDE, "patch_size": 16},
            },
            "preprocessor_config.json": processor.to_dict(),
            "tokenizer_config.json": {
                "tokenizer_class": "SiglipTokenizer",
                "model_max_length": CONTEXT,
                "pad_token": "</s>",
                "eos_token": "</s>",
                "unk_token": "<unk>",
                "do_lower_case": True,
            },
        },
    )
    export(
        model.text_model,
        target / "onnx/text_model.onnx",
        {"input_ids": torch.ones(2, CONTEXT, dtype=torch.long)},
        "pooler_output",
        ["batch_size", "sequence_length"],
    )
    export(
        model.vision_model,
        target / "onnx/vision_model.onnx",
        {"pixel_values": torch.randn(2, 3, SIDE, SIDE)},
        "pooler_output",
        ["batch_size"],
    )

    strings = texts()
    tokenizer.enable_truncation(CONTEXT)
    tokenizer.enable_padding(pad_id=1, pad_token="</s>", length=CONTEXT)
    ids = [tokenizer.encode(text).ids for text in strings]
    pictures = ["320x180.png", "90x211.png", "23x65.png"]
    chosen = range(0, len(strings), 25)
    chosen_ids = torch.tensor([ids[i] for i in chosen])
    with torch.no_grad():
        embeds = {i: model.text_model(torch.tensor([ids[i]])).pooler_output[0] for i in chosen}
        seen, probabilities = {}, {}
        for file in pictures:
            pixels = processor(Image.open(folder / "clip-pictures" / file), return_tensors="np")["pixel_values"]
            tensor = torch.from_numpy(np.asarray(pixels))
            seen[file] = model.vision_model(tensor).pooler_output[0]
            logits = model(input_ids=chosen_ids, pixel_values=tensor).logits_per_image[0]
            probabilities[file] = dict(zip(chosen, rounded(torch.sigmoid(logits)), strict=True))
    expected = {
        "tokens": ids,
        "texts": {i: rounded(unit(vector)) for i, vector in embeds.items()},
        "pictures": {file: rounded(unit(vector)) for file, vector in seen.items()},
        "probabilities": probabilities,
    }
    write_json(folder / "siglip.json.gz", expected)
