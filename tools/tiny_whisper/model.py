"""Whisper's architecture (Radford et al. 2022) in plain PyTorch, its parts named as Hugging Face names them.

Two additions serve training only and are gone after export: a head that names phonemes from the encoder's output, and a
projection that makes the timestamps' embeddings from sinusoids, so that all 1,501 learn from each other.
"""

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
    first_timestamp: int
    phonemes: int
    width: int = 128
    heads: int = 4
    encoder_layers: int = 2
    decoder_layers: int = 3
    hidden: int = 512
    mels: int = 80
    source_positions: int = 1500
    target_positions: int = 448

    @property
    def head_width(self) -> int:
        return self.width // self.heads


KeyValue = tuple[Tensor, Tensor]


def sinusoids(length: int, width: int) -> Tensor:
    """[length, width]: Whisper's fixed positions."""
    step = math.log(10_000) / (width // 2 - 1)
    angles = torch.arange(length)[:, None] * torch.exp(-step * torch.arange(width // 2))[None]
    return torch.cat([angles.sin(), angles.cos()], 1)


class Attention(nn.Module):
    """Multi-head attention; as in Whisper, keys have no bias."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.heads = sizes.heads
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj, self.q_proj, self.out_proj = (nn.Linear(width, width) for _ in range(3))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def keys_values(self, x: Tensor) -> KeyValue:
        """[n, heads, length, head width] twice."""
        return self._split(self.k_proj(x)), self._split(self.v_proj(x))

    def forward(self, x: Tensor, memory: KeyValue, causal: bool = False) -> Tensor:
        seen = F.scaled_dot_product_attention(self._split(self.q_proj(x)), *memory, is_causal=causal)
        return self.out_proj(seen.transpose(1, 2).reshape(x.shape))

    def weighted(self, x: Tensor, memory: KeyValue, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same written out, with the logarithm of the weights [n, heads, queries, keys]."""
        keys, values = memory
        query = self._split(self.q_proj(x))
        scores = (query @ keys.transpose(2, 3)) * query.shape[-1] ** -0.5
        if mask is not None:
            scores = scores + mask
        logs = scores.log_softmax(-1)
        return self.out_proj((logs.exp() @ values).transpose(1, 2).reshape(x.shape)), logs


class EncoderLayer(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.self_attn, self.self_attn_layer_norm = Attention(sizes), nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, sizes.hidden), nn.Linear(sizes.hidden, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.self_attn_layer_norm(x)
        x = x + self.self_attn(y, self.self_attn.keys_values(y))
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


class Encoder(nn.Module):
    """Log-mel frames [n, 80, frames] to [n, frames / 2, width]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(sizes.mels, sizes.width, 3, padding=1)
        self.conv2 = nn.Conv1d(sizes.width, sizes.width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding.from_pretrained(sinusoids(sizes.source_positions, sizes.width))
        self.layers = nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.encoder_layers))
        self.layer_norm = nn.LayerNorm(sizes.width)

    def forward(self, features: Tensor, offsets: Tensor | None = None) -> Tensor:
        """`offsets` [n]: where in the 30 seconds a shorter training window lies."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(features)))).transpose(1, 2)
        positions = self.embed_positions.weight[: x.shape[1]]
        if offsets is not None:
            positions = self.embed_positions.weight[offsets[:, None] + torch.arange(x.shape[1])]
        x = x + positions
        for layer in self.layers:
            x = layer(x)
        return self.layer_norm(x)


class DecoderLayer(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.self_attn, self.self_attn_layer_norm = Attention(sizes), nn.LayerNorm(width)
        self.encoder_attn, self.encoder_attn_layer_norm = Attention(sizes), nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, sizes.hidden), nn.Linear(sizes.hidden, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, own: KeyValue, heard: KeyValue, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """`own` and `heard`: keys and values of the text so far and of the encoder; gives the log weights there too."""
        y = self.self_attn_layer_norm(x)
        x = x + (self.self_attn(y, own, causal=True) if mask is None else self.self_attn.weighted(y, own, mask)[0])
        seen, weights = self.encoder_attn.weighted(self.encoder_attn_layer_norm(x), heard)
        x = x + seen
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x)))), weights


class Decoder(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(sizes.vocabulary, sizes.width)
        self.embed_positions = nn.Embedding(sizes.target_positions, sizes.width)
        nn.init.normal_(self.embed_tokens.weight, std=0.05)
        nn.init.normal_(self.embed_positions.weight, std=0.02)
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.decoder_layers))
        self.layer_norm = nn.LayerNorm(sizes.width)


class Whisper(nn.Module):
    """The whole network and what only training uses."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder, self.decoder = Encoder(sizes), Decoder(sizes)
        self.phoneme_head = nn.Linear(sizes.width, sizes.phonemes)
        self.timestamp_projection = nn.Linear(sizes.width, sizes.width)
        with torch.no_grad():
            self.timestamp_projection.weight.copy_(
                0.15 * torch.eye(sizes.width) + 0.005 * torch.randn(sizes.width, sizes.width)
            )
            self.timestamp_projection.bias.zero_()
        timestamps = sizes.vocabulary - sizes.first_timestamp
        self.register_buffer("timestamp_sinusoids", sinusoids(timestamps, sizes.width))

    def token_table(self) -> Tensor:
        """[vocabulary, width]: embeddings in, and logits out."""
        table, first = self.decoder.embed_tokens.weight, self.sizes.first_timestamp
        made = self.timestamp_projection(self.timestamp_sinusoids)
        return torch.cat([table[:first], table[first:] + made])

    def decode(self, ids: Tensor, encoded: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits [n, length, vocabulary], and each layer's log attention weights [n, heads, length, positions]."""
        table, decoder = self.token_table(), self.decoder
        x = table[ids] + decoder.embed_positions.weight[: ids.shape[1]]
        attention = []
        for layer in decoder.layers:
            own = layer.self_attn.keys_values(layer.self_attn_layer_norm(x))
            x, weights = layer(x, own, layer.encoder_attn.keys_values(encoded), None)
            attention.append(weights)
        return decoder.layer_norm(x) @ table.T, attention
