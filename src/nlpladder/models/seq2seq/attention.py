"""Which annotations of the source a target step reads: the scores of Bahdanau et al. 2015 and Luong et al. 2015.

All of them give a score e_ij to every annotation h_j (a = softmax over j, Bahdanau eq. 6; Luong eq. 7) and read the
weighted mean, the context c_i = sum_j a_ij h_j (Bahdanau eq. 5). They differ in the score only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Numbers that a hidden layer of all pairs (target, source) may hold at once; more are computed in pieces.
_PAIRS_AT_ONCE = 1 << 24


class Attention(nn.Module):
    """What the scores share. A subclass says what is computed once a source, and the score."""

    def keys(self, annotations: Tensor) -> Tensor:
        """Return the part of the score that depends on the source only, shape (batch, source, key).

        Args:
            annotations: h_j, shape (batch, source, annotation).
        """
        return annotations

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return e_ij, shape (batch, target, source).

        Args:
            queries: Decoder states, shape (batch, target, hidden).
            keys: From `keys`.
        """
        raise NotImplementedError

    def forward(self, queries: Tensor, keys: Tensor, annotations: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the contexts c_i (batch, target, annotation) and the weights a_ij (batch, target, source).

        Args:
            queries: Decoder states, shape (batch, target, hidden).
            keys: From `keys`.
            annotations: h_j, shape (batch, source, annotation).
            mask: What is added to the scores, shape (batch, 1, source): 0, or the lowest number at padding.
        """
        # (batch, target, source); float32, because a sum over the source in bfloat16 has two digits.
        weights = torch.softmax(self.scores(queries, keys).float() + mask, dim=-1)
        return torch.bmm(weights.to(annotations.dtype), annotations), weights


class AdditiveAttention(Attention):
    """The alignment model of Bahdanau et al. 2015, section A.1.2; asked with the state *before* the step, s_{i-1}.

    e_ij = v_a^T tanh(W_a s_{i-1} + U_a h_j)

    Args:
        hidden_size: Width of a decoder state, n.
        annotation_size: Width of an annotation, 2n in the paper.
        attention_size: Width of the hidden layer, n'.
    """

    def __init__(self, hidden_size: int, annotation_size: int, attention_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden_size, attention_size, bias=False)  # W_a
        self.key = nn.Linear(annotation_size, attention_size)  # U_a; the bias is not in the paper's equation
        self.score = nn.Linear(attention_size, 1, bias=False)  # v_a

    def keys(self, annotations: Tensor) -> Tensor:
        """Return U_a h_j, which the paper computes once for all steps."""
        return self.key(annotations)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return v_a^T tanh(W_a s + U_a h_j)."""
        queries = self.query(queries)  # (batch, target, attention)
        steps = max(1, _PAIRS_AT_ONCE // max(1, keys.numel()))
        if queries.shape[1] <= steps:
            return self._scores(queries, keys)
        return torch.cat([self._scores(piece, keys) for piece in queries.split(steps, dim=1)], dim=1)

    def _scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        hidden = torch.tanh(queries.unsqueeze(2) + keys.unsqueeze(1))  # (batch, target, source, attention)
        return F.linear(hidden, self.score.weight).squeeze(-1)  # (batch, target, source)


class ConcatAttention(AdditiveAttention):
    """The score ``concat`` of Luong et al. 2015, eq. 8; asked with the state *of* the step, h_t.

    score(h_t, h_s) = v_a^T tanh(W_a [h_t; h_s])

    W_a [h_t; h_s] is the sum of a product with h_t and one with h_s, so that this is Bahdanau's alignment model; what
    differs is the place of the attention in the decoder.
    """


class DotAttention(Attention):
    """The score ``dot`` of Luong et al. 2015, eq. 8: score(h_t, h_s) = h_t^T h_s. It has no parameters."""

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return h_t^T h_s."""
        return torch.bmm(queries, keys.transpose(1, 2))


class GeneralAttention(DotAttention):
    """The score ``general`` of Luong et al. 2015, eq. 8.

    score(h_t, h_s) = h_t^T W_a h_s

    Args:
        hidden_size: Width of a decoder state.
        annotation_size: Width of an annotation.
    """

    def __init__(self, hidden_size: int, annotation_size: int) -> None:
        super().__init__()
        self.key = nn.Linear(annotation_size, hidden_size, bias=False)  # W_a

    def keys(self, annotations: Tensor) -> Tensor:
        """Return W_a h_s."""
        return self.key(annotations)


def additive_mask(mask: Tensor) -> Tensor:
    """Return what is added to the scores: 0 at tokens, the lowest number of float32 at padding.

    Args:
        mask: True at tokens, shape (batch, source).

    Returns:
        Shape (batch, 1, source).
    """
    lowest = torch.finfo(torch.float32).min
    return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, lowest).unsqueeze(1)
