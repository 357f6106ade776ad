"""CLIP's architecture (Radford et al. 2021) in plain PyTorch, in the shape Hugging Face's CLIPModel gives it:
a pre-norm vision transformer and a causal text transformer that meet in one space."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Sizes:
    """Everything that fixes the network's shape."""

    vocabulary: int
    image: int = 64
    patch: int = 8
    width: int = 128
    heads: int = 4
    hidden: int = 512
    vision_layers: int = 4
    text_layers: int = 3
    space: int = 128
    text_length: int = 77


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """One transformer layer: attention, then a two-layer perceptron, each after a norm and added to its input."""

    def __init__(self, sizes: Sizes, layers: int, causal: bool) -> None:
        super().__init__()
        width = sizes.width
        self.heads, self.causal = sizes.heads, causal
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.out_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, sizes.hidden), nn.Linear(sizes.hidden, width)
        for linear, scale in (
            (self.query_key_value, 1.0),
            (self.fc1, 1.0),
            (self.out_proj, (2 * layers) ** -0.5),
            (self.fc2, (2 * layers) ** -0.5),
        ):
            nn.init.normal_(linear.weight, std=width**-0.5 * scale)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        mixed = self.query_key_value(self.layer_norm1(x))
        query, key, value = mixed.view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        seen = self._attend(query, key, value).transpose(1, 2).reshape(batch, length, width)
        x = x + self.out_proj(seen)
        return x + self.fc2(quick_gelu(self.fc1(self.layer_norm2(x))))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if not torch.onnx.is_in_onnx_export():
            return F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        weights = (query @ key.transpose(-1, -2)) / math.sqrt(
            query.shape[-1]
        )  # written out: exports to plain operators
        if self.causal:
            steps = torch.arange(query.shape[2])
            weights = weights + (steps[None, :] > steps[:, None]).float() * -1e9
        return torch.softmax(weights, -1) @ value


class VisionTower(nn.Module):
    """Pictures [n, 3, image, image] to vectors [n, space]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        patches = (sizes.image // sizes.patch) ** 2
        self.class_embedding = nn.Parameter(torch.randn(sizes.width) * 0.02)
        self.patch_embedding = nn.Conv2d(3, sizes.width, sizes.patch, sizes.patch, bias=False)
        self.position_embedding = nn.Parameter(torch.randn(patches + 1, sizes.width) * 0.02)
        self.pre_layer_norm, self.post_layer_norm = nn.LayerNorm(sizes.width), nn.LayerNorm(sizes.width)
        self.layers = nn.Sequential(*(Block(sizes, sizes.vision_layers, False) for _ in range(sizes.vision_layers)))
        self.projection = nn.Linear(sizes.width, sizes.space, bias=False)

    def pooled(self, pictures: Tensor) -> Tensor:
        """What the class token holds, before the projection, [n, width]."""
        patches = self.patch_embedding(pictures).flatten(2).transpose(1, 2)
        start = self.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        x = self.pre_layer_norm(torch.cat([start, patches], 1) + self.position_embedding)
        return self.post_layer_norm(self.layers(x)[:, 0])

    def forward(self, pictures: Tensor) -> Tensor:
        return self.projection(self.pooled(pictures))


class TextTower(nn.Module):
    """Token ids [n, length], padded with end-of-text, to vectors [n, space]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(sizes.vocabulary, sizes.width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        self.position_embedding = nn.Parameter(torch.randn(sizes.text_length, sizes.width) * 0.01)
        self.layers = nn.Sequential(*(Block(sizes, sizes.text_layers, True) for _ in range(sizes.text_layers)))
        self.final_layer_norm = nn.LayerNorm(sizes.width)
        self.projection = nn.Linear(sizes.width, sizes.space, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.token_embedding(ids) + self.position_embedding[: ids.shape[1]]
        x = self.final_layer_norm(self.layers(x))
        end = ids.argmax(-1)  # the first end-of-text: no id is higher
        return self.projection(x.gather(1, end[:, None, None].expand(-1, 1, x.shape[-1]))[:, 0])


class Clip(nn.Module):
    """Both towers and the logit scale."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.vision, self.text = VisionTower(sizes), TextTower(sizes)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
