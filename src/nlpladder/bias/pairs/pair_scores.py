"""How probable a model finds each of two sentences: the estimators that all go by the name of CrowS-Pairs.

They are different numbers, and none replaces another, so each has its own name here:

====================  ==========================================================================================
``crows_pll``         sum over *shared* tokens of log P(token | the sentence with this token hidden); the modified
                      tokens are never hidden. Nangia et al. 2020, section 4, and their metric.py.
``crows_diff_mean``   mean over *differing* tokens of log P(token | the sentence with this token hidden). Meade et
                      al. 2022 (bias-bench, crows.py).
``aul``               mean over all tokens of log P(token | the whole sentence, nothing hidden). Kaneko and Bollegala
                      2022, "Unmasking the mask", equation 4.
``aula``              the same, each token times the mean attention it receives, not renormalised. Equation 5.
``sss``               mean over differing tokens of log P(token | the sentence with all of them hidden). Nadeem et
                      al. 2021, as equation 2 of Kaneko and Bollegala writes it.
``pll_word_l2r``      sum over all tokens of log P(token | the sentence with this token and the rest of its word
                      hidden), which does not reward words of many pieces. Kauf and Ivanova 2023, "A better way to do
                      masked language model scoring".
``crows_causal_ppl``  mean over all tokens of log P(token | what stands before it), the first given the begin mark.
                      Meade et al. 2022; they compare 2 to the mean of base-2 logarithms, which is its exponential.
``crows_causal_sum``  the sum of the same (EleutherAI's lm-evaluation-harness).
====================  ==========================================================================================

The end mark that some causal models predict behind a text is left out, as the references do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from nlpladder.bias.pairs.sentence_pairs import SentencePair, overlap, pieces_of_words
from nlpladder.bias.text_scores import text_log_probabilities
from nlpladder.errors import ConfigError, ModelError, did_you_mean
from nlpladder.protocols import EncodedText, FloatArray, LanguageModel, MaskedLanguageModel, MaskedQuery

Float = npt.NDArray[np.float64]


@runtime_checkable
class AttentionModel(Protocol):
    """A masked language model that tells how much attention each token receives."""

    def attention_received(self, inputs: Sequence[tuple[int, ...]]) -> list[FloatArray]:
        """Return the shares of each input's tokens, (tokens,)."""
        ...


@dataclass(frozen=True)
class PairScores:
    """The scores of both sentences of each pair, in nats.

    Attributes:
        more: Of the sentence that stereotypes more, (pairs,); NaN where the pair cannot be scored.
        less: Of the other, (pairs,).
        tokens_more: How many log-probabilities went into `more`, (pairs,).
        tokens_less: How many went into `less`, (pairs,).
        left_out: Why pairs could not be scored, in a sentence; empty where all could.
    """

    more: Float
    less: Float
    tokens_more: npt.NDArray[np.int64]
    tokens_less: npt.NDArray[np.int64]
    left_out: str = ""

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """Which pairs could be scored, (pairs,)."""
        return np.isfinite(self.more) & np.isfinite(self.less)


@dataclass(frozen=True)
class PairEstimator:
    """One way to score a sentence of a pair.

    Attributes:
        name: See the module.
        title: In words.
        needs: What the model must be.
        per_token: Whether the score is a mean over tokens, not a sum.
        source: The paper, and where in it.
    """

    name: str
    title: str
    needs: Literal["masked", "causal"]
    per_token: bool
    source: str


_ALL = (
    PairEstimator(
        "crows_pll", "pseudo-log-likelihood of the shared tokens", "masked", False,
        "Nangia et al. 2020, CrowS-Pairs, section 4",
    ),
    PairEstimator(
        "crows_diff_mean", "mean log-probability of the differing tokens", "masked", True,
        "Meade et al. 2022, bias-bench, crows.py",
    ),
    PairEstimator(
        "aul", "mean log-probability of all tokens, nothing hidden", "masked", True,
        "Kaneko and Bollegala 2022, Unmasking the mask, equation 4",
    ),
    PairEstimator(
        "aula", "the same, weighted by attention", "masked", True,
        "Kaneko and Bollegala 2022, Unmasking the mask, equation 5",
    ),
    PairEstimator(
        "sss", "mean log-probability of the differing tokens, all hidden at once", "masked", True,
        "Nadeem et al. 2021, as Kaneko and Bollegala 2022, equation 2",
    ),
    PairEstimator(
        "pll_word_l2r", "pseudo-log-likelihood, the rest of the word hidden too", "masked", False,
        "Kauf and Ivanova 2023, A better way to do masked language model scoring",
    ),
    PairEstimator(
        "crows_causal_ppl", "mean log-probability of the sentence", "causal", True,
        "Meade et al. 2022, bias-bench, crows.py",
    ),
    PairEstimator(
        "crows_causal_sum", "log-probability of the sentence", "causal", False,
        "EleutherAI lm-evaluation-harness, crows_pairs",
    ),
)  # fmt: skip

#: Name -> estimator.
ESTIMATORS: Mapping[str, PairEstimator] = MappingProxyType({one.name: one for one in _ALL})


def estimator_of(name: str, model: Any) -> PairEstimator:
    """Return an estimator by its name, if the model is of the kind that it needs.

    Args:
        name: See the module.
        model: Any rung.

    Raises:
        ConfigError: There is no such estimator.
        ModelError: The model is of another kind.
    """
    if name not in ESTIMATORS:
        raise ConfigError(
            f"There is no estimator {name!r} for pairs of sentences.{did_you_mean(name, ESTIMATORS)} There are "
            f"{', '.join(ESTIMATORS)}."
        )
    found = ESTIMATORS[name]
    kind = MaskedLanguageModel if found.needs == "masked" else LanguageModel
    if not isinstance(model, kind):
        others = ", ".join(one.name for one in _ALL if one.needs != found.needs)
        what = "fills gaps (BERT and its family)" if found.needs == "masked" else "reads from left to right"
        raise ModelError(
            f"{name} needs a model that {what}; {type(model).__name__} does not. For the other kind there are {others}."
        )
    if name == "aula" and not isinstance(model, AttentionModel):
        raise ModelError(f"aula needs a model that tells its attention; {type(model).__name__} does not. Take aul.")
    return found


def score_pairs(
    model: Any, pairs: Sequence[SentencePair], name: str, *, shared: dict[Any, Any] | None = None
) -> PairScores:
    """Score both sentences of every pair.

    Args:
        model: A `MaskedLanguageModel` or a `LanguageModel`, by what the estimator needs.
        pairs: Any number.
        name: Of the estimator.
        shared: Answers of this model to other estimators, which ask the same: ``aul`` and ``aula``,
            ``crows_causal_ppl`` and ``crows_causal_sum``. Filled with those to this one.

    Raises:
        ConfigError: There is no such estimator.
        ModelError: The model is of another kind.
        DataError: A sentence is longer than the model reads.
    """
    estimator = estimator_of(name, model)
    known: dict[Any, Any] = {} if shared is None else shared
    if estimator.needs == "causal":
        return _score_causal(model, pairs, known, mean=estimator.per_token)
    encoded = {text: model.encode(text) for pair in pairs for text in (pair.more, pair.less)}
    questions: list[list[MaskedQuery]] = []
    for pair in pairs:
        more, less = encoded[pair.more], encoded[pair.less]
        found = overlap(more, less)
        questions.append(_ASK[name](more, found.shared_more, found.differing_more, pair.more))
        questions.append(_ASK[name](less, found.shared_less, found.differing_less, pair.less))
    key = (_ASK[name].__name__, tuple(pairs))
    if key not in known:
        known[key] = model.query([query for side in questions for query in side])
    answers = iter(known[key])
    values = [[next(answers) for _ in side] for side in questions]
    if name == "aula":
        weights = model.attention_received([side[0].token_ids if side else () for side in questions])
        values = [
            [answer * weight[list(query.wanted)] for answer, query in zip(side, asked, strict=True)]
            for side, asked, weight in zip(values, questions, weights, strict=True)
        ]
    return _both_sides(values, mean=estimator.per_token)


def _both_sides(values: Sequence[Sequence[FloatArray]], *, mean: bool) -> PairScores:
    """Reduce the log-probabilities of each side, (sides of all pairs), to scores."""
    joined = [np.concatenate(side).astype(np.float64) if len(side) else np.zeros(0) for side in values]
    counts = np.array([len(side) for side in joined], dtype=np.int64)
    scores = np.array([side.sum() for side in joined])
    empty = 0
    if mean:
        with np.errstate(invalid="ignore", divide="ignore"):
            scores = np.where(counts > 0, scores / counts, np.nan)
        empty = int((counts.reshape(-1, 2) == 0).any(axis=1).sum())
    left_out = ""
    if empty:
        what = "pairs are" if empty > 1 else "pair is"
        left_out = f"{empty} {what} left out, as in bias-bench: one of the sentences has no token of its own."
    return PairScores(scores[0::2], scores[1::2], counts[0::2], counts[1::2], left_out)


def _score_causal(
    model: LanguageModel, pairs: Sequence[SentencePair], known: dict[Any, Any], *, mean: bool
) -> PairScores:
    key = ("texts", tuple(pairs))
    if key not in known:
        texts = list(dict.fromkeys(text for pair in pairs for text in (pair.more, pair.less)))
        known[key] = dict(zip(texts, text_log_probabilities(model, texts), strict=True))
    values = known[key]
    found = _both_sides([[values[text]] for pair in pairs for text in (pair.more, pair.less)], mean=mean)
    impossible = int((~found.kept).sum())
    if not impossible:
        return found
    why = f"{impossible} pairs left out: the model gives one of the sentences no probability at all."
    return PairScores(found.more, found.less, found.tokens_more, found.tokens_less, why)


def _ask_shared(encoded: EncodedText, shared: Sequence[int], _: Sequence[int], __: str) -> list[MaskedQuery]:
    return [MaskedQuery(encoded.token_ids, (position,), (position,)) for position in shared]


def _ask_differing(encoded: EncodedText, _: Sequence[int], differing: Sequence[int], __: str) -> list[MaskedQuery]:
    return [MaskedQuery(encoded.token_ids, (position,), (position,)) for position in differing]


def _ask_together(encoded: EncodedText, _: Sequence[int], differing: Sequence[int], __: str) -> list[MaskedQuery]:
    return [MaskedQuery(encoded.token_ids, tuple(differing), tuple(differing))] if differing else []


def _ask_unmasked(encoded: EncodedText, _: Sequence[int], __: Sequence[int], ___: str) -> list[MaskedQuery]:
    wanted = tuple(position for position, special in enumerate(encoded.special) if not special)
    return [MaskedQuery(encoded.token_ids, (), wanted)]


def _ask_words(encoded: EncodedText, _: Sequence[int], __: Sequence[int], text: str) -> list[MaskedQuery]:
    return [
        MaskedQuery(encoded.token_ids, tuple(word[place:]), (position,))
        for word in pieces_of_words(encoded, text)
        for place, position in enumerate(word)
    ]


_ASK: Mapping[str, Callable[[EncodedText, Sequence[int], Sequence[int], str], list[MaskedQuery]]] = MappingProxyType(
    {
        "crows_pll": _ask_shared,
        "crows_diff_mean": _ask_differing,
        "aul": _ask_unmasked,
        "aula": _ask_unmasked,
        "sss": _ask_together,
        "pll_word_l2r": _ask_words,
    }
)
