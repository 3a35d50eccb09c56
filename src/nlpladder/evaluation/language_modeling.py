"""How well a language model predicts text: bits per byte, and perplexity per token, word and known token.

With the probabilities p(t) of the tokens of a text, H = -sum log p(t) is the same whatever the tokens are, so that
H / (bytes log 2), bits per byte, and exp(H / words), the perplexity per white-space word, compare models of any
vocabulary. Perplexity per token, exp(H / tokens) (Jelinek et al. 1977), compares only models of the same tokens.
Intervals: bootstrap over texts.

A model that gives all words it does not know one unknown token would look the better the fewer words it knows. Here an
unknown word therefore costs p(<unk>) and its letters, at 8 bits a byte and an end mark: a proper code for any text, so
that bits per byte and perplexity per word can be compared whatever the vocabularies. Where the text itself says
``<unk>`` there are no letters to pay for. The other two perplexities are the conventional ones, without letters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.evaluation.closed_intervals import has_no_spread, no_interval
from nlpladder.evaluation.comparison import Comparison
from nlpladder.evaluation.intervals import Score, check_confidence, need_two
from nlpladder.evaluation.multiple_testing import holm
from nlpladder.evaluation.resampling import bootstrap, swap_replicates
from nlpladder.evaluation.seeds import SeedScore, combined_interval, summarise
from nlpladder.protocols import TokenScores

Float = npt.NDArray[np.float64]
#: What is kept of each text, in this order.
COLUMNS = ("nats", "tokens", "words", "bytes", "known_nats", "known_tokens", "spelling_nats")
_NATS, _TOKENS, _WORDS, _BYTES, _KNOWN_NATS, _KNOWN, _SPELLING = range(7)
_UNKNOWN_WORD = "<unk>"
#: metric -> unit, whether a rise is an improvement
METRICS: Mapping[str, tuple[str, bool]] = {
    "bits_per_byte": ("bits", False),
    "perplexity_per_word": ("", False),
    "perplexity": ("", False),
    "perplexity_of_known": ("", False),
    "unknown_rate": ("%", False),
}


@dataclass(frozen=True)
class TextLosses:
    """What a model lost on each text.

    Attributes:
        columns: Shape (texts, 7), see `COLUMNS`; losses in nats.
    """

    columns: Float

    @classmethod
    def of(cls, scores: Sequence[TokenScores]) -> TextLosses:
        """Sum the scores of each text."""
        rows = np.empty((len(scores), len(COLUMNS)))
        for row, score in zip(rows, scores, strict=True):
            logprobs = np.asarray(score.logprobs, dtype=np.float64)
            known = np.asarray(score.known, dtype=bool)
            row[:] = (
                -logprobs.sum(), logprobs.size, score.num_words, score.num_bytes,
                -logprobs[known].sum(), known.sum(), _spelling_nats(score),
            )  # fmt: skip
        return cls(rows)


def _spelling_nats(score: TokenScores) -> float:
    """Return what the letters of the unknown words cost, at 8 bits a byte, with an end mark each."""
    unknown = [score.tokens[place] for place in np.flatnonzero(~np.asarray(score.known, dtype=bool)).tolist()]
    sizes = (len(word.encode("utf-8", "surrogatepass")) + 1 for word in unknown if word != _UNKNOWN_WORD)
    return float(sum(sizes) * np.log(256.0))


def split_by_line(score: TokenScores, text: str, starts: npt.NDArray[np.int64]) -> list[TokenScores]:
    """Cut the score of a long text into one a line that is not blank, so that intervals have units to resample.

    Blank lines are counted to the line before them, those at the beginning to the first one.

    Args:
        score: Of `text`, with or without an end mark as its last token.
        text: What was scored.
        starts: At which character each token of the text begins, shape (tokens without the end mark,).
    """
    lines = text.splitlines(keepends=True) or [""]
    ends = np.cumsum([len(line) for line in lines])
    filled = [number for number, line in enumerate(lines) if line.strip()] or [0]
    first_characters = np.array([0, *(ends[number - 1] for number in filled[1:])], dtype=np.int64)
    bounds = [*np.searchsorted(starts, first_characters).tolist(), len(score.tokens)]
    borders = [*first_characters.tolist(), len(text)]
    parts = []
    for number in range(len(filled)):
        kept, characters = slice(bounds[number], bounds[number + 1]), text[borders[number] : borders[number + 1]]
        parts.append(
            TokenScores(
                tokens=score.tokens[kept],
                logprobs=score.logprobs[kept],
                known=score.known[kept],
                num_words=len(characters.split()),
                num_bytes=len(characters.encode("utf-8", "surrogatepass")),
            )
        )
    return parts


def metric_values(sums: Float) -> dict[str, Float]:
    """Return each metric from sums of the columns, shape (…, 7)."""
    spelled = sums[..., _NATS] + sums[..., _SPELLING]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return {
            "bits_per_byte": spelled / (sums[..., _BYTES] * np.log(2.0)),
            "perplexity_per_word": np.exp(spelled / sums[..., _WORDS]),
            "perplexity": np.exp(sums[..., _NATS] / sums[..., _TOKENS]),
            "perplexity_of_known": np.exp(sums[..., _KNOWN_NATS] / sums[..., _KNOWN]),
            "unknown_rate": 1.0 - sums[..., _KNOWN] / sums[..., _TOKENS],
        }


def score_language_model(
    seeds: Sequence[TextLosses], *, resamples: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> dict[str, SeedScore]:
    """Return every metric with its interval over texts and, for several, over training seeds.

    Args:
        seeds: The losses of the model of each seed, on the same texts.
        resamples: Bootstrap resamples of the texts.
        seed: Fixes every number.
        confidence: Level of the intervals.

    Raises:
        DataError: for fewer than two texts, or seeds that scored other texts.
    """
    check_confidence(confidence)
    texts = _same_texts({f"seed {number}": [losses] for number, losses in enumerate(seeds)})
    # An infinite loss has no spread: it is left out of the resamples, and the metrics that hold it say so below.
    columns = np.hstack([np.where(np.isfinite(losses.columns), losses.columns, 0.0) for losses in seeds])
    drawn = bootstrap(columns, resamples=resamples, seed=seed)
    width = len(COLUMNS)
    by_seed = [metric_values(drawn.sums[:, width * number : width * (number + 1)]) for number in range(len(seeds))]
    scores = {}
    for name, (unit, higher) in METRICS.items():
        values = [float(metric_values(losses.columns.sum(axis=0))[name]) for losses in seeds]
        replicates = np.mean([found[name] for found in by_seed], axis=0)
        low, high = np.quantile(replicates, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
        method = f"percentile bootstrap interval, {resamples:,} resamples of texts, seed {seed}"
        note = ""
        if not np.isfinite(values).all():
            note = "A token had probability 0: the loss is infinite."
            low = high = np.nan
        elif has_no_spread(replicates):
            closed = no_interval(values[0], None, texts, unit_name="texts")
            low, high, method, note = np.nan, np.nan, closed.method, closed.note
        one = Score(
            name, values[0], _finite(low), _finite(high), texts, confidence, method, higher, unit, note
        )  # fmt: skip
        if len(seeds) == 1:
            one = dataclasses.replace(one, value=_finite(values[0]))
            scores[name] = SeedScore(one, (_finite(values[0]),), None, _finite(values[0]), _finite(values[0]))
            continue
        combined = dataclasses.replace(one, method=f"variance over {len(seeds)} seeds plus {method}")
        scores[name] = summarise(combined, values, float(np.var(replicates, ddof=1)), (0.0, None))
    return scores


def compare_language_models(
    systems: Mapping[str, Sequence[TextLosses]],
    *,
    pairs: Literal["adjacent", "all"] = "adjacent",
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Comparison]:
    """Compare models pair by pair in bits per byte on the same texts, with Holm's correction.

    For one seed each: an approximate randomisation test (Noreen 1989) that swaps the losses of a text between the two
    models. With several seeds the variance over seeds is added, as in ``nlpladder.evaluation.comparison``.

    Args:
        systems: The losses of each seed by name, in the order of the ladder; A is the later one of a pair.
        pairs: ``adjacent`` or ``all``.
        resamples: How many.
        seed: Fixes every number.
        confidence: Level of the intervals.

    Raises:
        DataError: for fewer than two models, or models that scored other texts.
    """
    check_confidence(confidence)
    if len(systems) < 2:
        raise DataError(f"There is {len(systems)} model: a comparison needs at least two.")
    texts = _same_texts(systems)
    found = []
    for before, after in pairwise(systems) if pairs == "adjacent" else combinations(systems, 2):
        first, second = _mean_spelled_nats(systems[after]), _mean_spelled_nats(systems[before])  # (texts,)
        counts = systems[after][0].columns[:, _BYTES] * np.log(2.0)
        difference = float((first.sum() - second.sum()) / counts.sum())
        gaps = first - second
        drawn = bootstrap(np.column_stack([gaps, counts]), resamples=resamples, seed=seed)
        replicates = drawn.sums[:, 0] / drawn.sums[:, 1]
        low: float | None
        high: float | None
        low, high = (float(end) for end in np.quantile(replicates, [(1 - confidence) / 2, (1 + confidence) / 2]))
        if has_no_spread(replicates):
            low = high = None
        swapped = swap_replicates(gaps[:, None], resamples=resamples, seed=seed)[:, 0]
        extreme = np.abs(gaps.sum() - 2.0 * swapped) >= abs(gaps.sum()) * (1 - 1e-12)
        p_values: dict[str, float | None] = {"approximate_randomization": float((extreme.sum() + 1) / (resamples + 1))}
        test, note = "approximate_randomization", "One seed each: the test is about these two trained models."
        repeated = [_bits(seeds) for seeds in (systems[after], systems[before]) if len(seeds) > 1]
        if repeated:
            combined = combined_interval(difference, float(np.var(replicates, ddof=1)), repeated, confidence)
            low, high, p_total = combined or (low, high, p_values["approximate_randomization"])
            p_values["seeds_and_examples"], test, note = p_total, "seeds_and_examples", ""
        p_value = p_values[test]
        assert p_value is not None
        found.append(
            Comparison(
                after, before, "bits_per_byte", difference, low, high, confidence, texts,
                (len(systems[after]), len(systems[before])), p_values, test, p_value, p_value, False, "bits", note,
            )
        )  # fmt: skip
    corrected = holm([comparison.p_value for comparison in found])
    return [dataclasses.replace(one, p_holm=float(value)) for one, value in zip(found, corrected, strict=True)]


def _same_texts(systems: Mapping[str, Sequence[TextLosses]]) -> int:
    """Return the number of texts, which must be the same texts for all."""
    names = list(systems)
    if not names or not all(systems.values()):
        raise DataError("There are no scores: give the losses of at least one model.")
    reference = systems[names[0]][0].columns[:, _BYTES]
    need_two(len(reference))
    for name, seeds in systems.items():
        for losses in seeds:
            if not np.array_equal(losses.columns[:, _BYTES], reference):
                raise DataError(
                    f"{name} scored {len(losses.columns)} texts of other lengths than {names[0]} "
                    f"({len(reference)} texts). Models are compared on the same texts."
                )
    return len(reference)


def _mean_spelled_nats(seeds: Sequence[TextLosses]) -> Float:
    return np.mean([losses.columns[:, _NATS] + losses.columns[:, _SPELLING] for losses in seeds], axis=0)


def _bits(seeds: Sequence[TextLosses]) -> Float:
    return np.array([metric_values(losses.columns.sum(axis=0))["bits_per_byte"] for losses in seeds])


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
