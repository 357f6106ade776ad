"""A small passage encoder of random weights in multilingual-e5-small's layout: its folder, tokens and embeddings."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import AddedToken, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from .clip import rounded, unit
from .files import write_json
from .small import export, new_folder, train_pieces, unigram, write_configs
from .texts import texts

CONTEXT = 48
WIDTH = 32


def make(folder: Path) -> None:
    torch.manual_seed(2)
    pieces, charsmap = train_pieces(900)
    tokenizer = unigram(["<s>", "<pad>", "</s>", "<unk>"], pieces, "<unk>", ["<mask>"])
    # XLM-R's, as its tokenizer.json has it
    tokenizer.normalizer = normalizers.Precompiled(charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)])

    vocabulary = tokenizer.get_vocab_size() + 35  # padded, as multilingual-e5-small's table is
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        pad_token_id=1,
    )
    config._attn_implementation = "eager"
    model = BertModel(config, add_pooling_layer=False).eval()
    for name, parameter in model.named_parameters():
        if "LayerNorm" not in name:
            torch.nn.init.normal_(parameter, std=0.2)

    target = new_folder(folder / "text")
    write_configs(
        target,
        tokenizer,
        {
            "config.json": {
                "model_type": "bert",
                "hidden_size": WIDTH,
                "vocab_size": vocabulary,
                "max_position_embeddings": CONTEXT,
                "pad_token_id": 1,
            },
            "tokenizer_config.json": {
                "tokenizer_class": "XLMRobertaTokenizer",
                "model_max_length": 512,
                "pad_token": "<pad>",
            },
            "1_Pooling/config.json": {
                "word_embedding_dimension": WIDTH,
                "pooling_mode_cls_token": False,
                "pooling_mode_mean_tokens": True,
            },
            "config_sentence_transformers.json": {"prompts": {"query": "query: ", "passage": "passage: "}},
        },
    )
    names = ("input_ids", "attention_mask", "token_type_ids")
    examples = {name: torch.ones(2, 9, dtype=torch.long) for name in names}
    export(model, target / "onnx/model.onnx", examples, "last_hidden_state", ["batch_size", "sequence_length"])

    strings = texts()
    tokenizer.enable_truncation(CONTEXT)
    chosen = range(0, len(strings), 10)

    def embed(text: str) -> torch.Tensor:
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            return unit(model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].mean(0))

    expected = {
        "tokens": [tokenizer.encode(text).ids for text in strings],
        "queries": {i: rounded(embed(f"query: {strings[i]}")) for i in chosen},
        "passages": {i: rounded(embed(f"passage: {strings[i]}")) for i in chosen},
    }
    write_json(folder / "text.json.gz", expected)
