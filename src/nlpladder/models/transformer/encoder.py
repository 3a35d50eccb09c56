"""The encoder: a stack of self-attention and feed-forward blocks (Vaswani et al. 2017, section 3.1)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nlpladder.nn.attention import MultiHeadAttention


class EncoderLayer(nn.Module):
    """One block: self-attention, then a two-layer network at each position, each with a residual connection.

    Pre-norm: x + Sublayer(LayerNorm(x)) (Xiong et al. 2020); post-norm: LayerNorm(x + Sublayer(x)) as in the paper.

    Args:
        width: Model width D.
        num_heads: Attention heads.
        feed_forward_width: Inner width of the position-wise network (section 3.3).
        dropout: On attention weights and on each sub-layer's output, in training.
        pre_norm: Normalise before the sub-layer instead of after the sum.
    """

    def __init__(self, width: int, num_heads: int, feed_forward_width: int, dropout: float, pre_norm: bool) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(width, num_heads, dropout)
        self.self_attention_norm = nn.LayerNorm(width)
        self.feed_forward_in = nn.Linear(width, feed_forward_width)
        self.feed_forward_out = nn.Linear(feed_forward_width, width)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.pre_norm = pre_norm

    def forward(self, hidden: Tensor, allowed: Tensor, *, need_weights: bool = False) -> tuple[Tensor, Tensor | None]:
        """Transform `hidden` (batch, tokens, width) under `allowed` (batch, 1, 1, tokens).

        Returns:
            The new states, and the attention weights (batch, heads, tokens, tokens) when asked for.
        """
        normed = self.self_attention_norm(hidden) if self.pre_norm else hidden
        mixed, weights = self.self_attention(normed, normed, allowed=allowed, need_weights=need_weights)
        hidden = hidden + self.dropout(mixed)
        if not self.pre_norm:
            hidden = self.self_attention_norm(hidden)
        normed = self.feed_forward_norm(hidden) if self.pre_norm else hidden
        transformed = self.feed_forward_out(self.dropout(F.gelu(self.feed_forward_in(normed))))
        hidden = hidden + self.dropout(transformed)
        return (hidden if self.pre_norm else self.feed_forward_norm(hidden)), weights


class Encoder(nn.Module):
    """A stack of `EncoderLayer`, with a last LayerNorm when pre-norm."""

    def __init__(
        self, num_layers: int, width: int, num_heads: int, feed_forward_width: int, dropout: float, pre_norm: bool
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(width, num_heads, feed_forward_width, dropout, pre_norm) for _ in range(num_layers)
        )
        self.norm: nn.Module = nn.LayerNorm(width) if pre_norm else nn.Identity()

    def forward(self, hidden: Tensor, mask: Tensor, *, need_weights: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Encode `hidden` (batch, tokens, width) under `mask` (batch, tokens).

        Returns:
            The states (batch, tokens, width) and, when asked for, each layer's weights (batch, heads, tokens, tokens).
        """
        allowed = mask.bool()[:, None, None, :]  # (batch, 1, 1, source)
        attentions = []
        for layer in self.layers:
            hidden, weights = layer(hidden, allowed, need_weights=need_weights)
            if weights is not None:
                attentions.append(weights)
        return self.norm(hidden), attentions
