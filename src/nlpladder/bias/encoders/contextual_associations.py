"""CEAT: the association test over the contexts of a corpus, pooled by a random-effects model (Guo and Caliskan 2021).

A contextual encoder has no one vector for a word. CEAT draws one context for every word, computes the effect size of
WEAT on those vectors, does so many times, and pools the effect sizes ES_i with weights 1 / (V_i + tau^2): V_i is the
variance within draw i and tau^2 that between draws (DerSimonian and Laird 1986).

Two things of the paper are kept and said: V_i is the variance of the associations s of the draw, which is in squared
cosine and not the variance of an effect size, so that tau^2 usually swamps it; and the paper's p takes the draws for
independent studies, though all are of the same words, so that it falls to 0 with the number of draws. That p is in the
notes. The p of the finding permutes words, and its interval resamples them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from nlpladder.bias.encoders.encoded_sentences import as_encoder
from nlpladder.bias.encoders.sentence_associations import effect_size_of_sums
from nlpladder.bias.encoders.word_contexts import Context, context_notes, find_contexts
from nlpladder.bias.findings import Finding, Findings
from nlpladder.bias.statistics.estimates import DEFAULT, StatisticsOptions
from nlpladder.bias.statistics.many_tests import about, aligned, over_tests
from nlpladder.bias.words.association_data import AssociationTest
from nlpladder.bias.words.word_coverage import some
from nlpladder.bias.words.word_statistics import counts, difference_of_means, effect_size_ceiling, percentiles
from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.intervals import Score
from nlpladder.protocols import TextEncoder, WordEmbeddings

Float = npt.NDArray[np.float64]

SOURCE = "Guo and Caliskan 2021, Detecting emergent intersectional biases"

#: Draws and resamples behind the interval; each pair of them is one effect size.
_INTERVAL_DRAWS = 100
_INTERVAL_RESAMPLES = 2_000


@runtime_checkable
class ContextEncoder(Protocol):
    """An encoder that has a vector for a part of a text, read in that text."""

    def encode_in_context(self, texts: Sequence[str], spans: Sequence[tuple[int, int]]) -> Any:
        """Return one vector for the characters from begin to end of each text, (texts, vector_size)."""
        ...


class Pooled(NamedTuple):
    """Effect sizes pooled by a random-effects model.

    Attributes:
        effect: The combined effect size.
        error: Its standard error, if draws were independent.
        between: tau^2, the variance between draws.
        p_value: Two-sided, as published: of effect / error under the normal distribution.
    """

    effect: float
    error: float
    between: float
    p_value: float


def random_effects(effects: Float, variances: Float) -> Pooled:
    """Pool effect sizes with the estimator of DerSimonian and Laird (1986), as in Guo and Caliskan 2021, section 4.

    Args:
        effects: ES_i, (draws,).
        variances: V_i, above 0, (draws,).
    """
    weights = 1.0 / variances
    total = weights.sum()
    heterogeneity = float((weights * effects**2).sum() - (weights * effects).sum() ** 2 / total)
    degrees = len(effects) - 1
    scale = float(total - (weights**2).sum() / total)
    between = max(0.0, (heterogeneity - degrees) / scale) if scale > 0 else 0.0
    weights = 1.0 / (variances + between)
    effect, error = float((weights * effects).sum() / weights.sum()), float(1.0 / math.sqrt(weights.sum()))
    return Pooled(effect, error, between, math.erfc(abs(effect / error) / math.sqrt(2.0)))


def ceat(
    model: TextEncoder | WordEmbeddings,
    data: AssociationTest | Sequence[AssociationTest],
    *,
    texts: Iterable[str],
    contexts: int = 50,
    samples: int = 10_000,
    draws: int = 100_000,
    statistics: StatisticsOptions = DEFAULT,
) -> Findings:
    """Measure association tests over contexts that are sampled from texts.

    Args:
        model: An encoder. With a method ``encode_in_context(texts, spans)`` each context is the word's own vector;
            otherwise it is the vector of the whole text, as the notes say.
        data: One test or several, of words.
        texts: The corpus, best a sentence each; the first occurrence of a word in a text is its context.
        contexts: At most so many texts a word, drawn at random; the paper takes up to 10,000.
        samples: Draws of one context for every word; 10,000 in the paper.
        draws: Random splits, where the permutation test cannot be exact.
        statistics: How the interval is computed; target words are resampled, with their contexts.

    Raises:
        DataError: If too few words of a list occur in the texts.
        ConfigError: If `contexts` or `samples` is below 1 or 2.
    """
    if contexts < 1 or samples < 2:
        raise ConfigError(f"contexts is {contexts} and samples {samples}: give 1 context and 2 samples or more.")
    encoder, corpus = as_encoder(model), list(texts)
    return over_tests("ceat", data, lambda test: _measure(encoder, test, corpus, contexts, samples, draws, statistics))


def _measure(
    encoder: TextEncoder,
    test: AssociationTest,
    corpus: list[str],
    contexts: int,
    samples: int,
    draws: int,
    options: StatisticsOptions,
) -> Findings:
    if test.of_sentences:
        raise DataError(f"{test.name} is a test of sentences; CEAT finds its sentences in the texts: use seat.")
    generator = np.random.default_rng(options.seed)
    lists = (*test.targets, *test.attributes)
    wanted = list(dict.fromkeys(word for one in lists for word in one.words))
    found = find_contexts(wanted, corpus, most=contexts, generator=generator)
    words = [[word for word in dict.fromkeys(one.words) if found[word]] for one in lists]
    notes = context_notes(lists, words, found)
    for one, here, least in zip(lists, words, (2, 2, 1, 1), strict=True):
        if len(here) < least:
            lacking = some([word for word in one.words if not found[word]])
            raise DataError(
                f"Association test {test.name}: {len(here)} of the {len(one.words)} words of {one.name!r} occur in the "
                f"{len(corpus):,} texts; the measure wants {least} or more. Missing: {lacking}."
            )
    vectors, how = _encode(encoder, [context for word in wanted for context in found[word]])
    first_row = np.cumsum([0, *(len(found[word]) for word in wanted)])
    start = {word: int(first_row[place]) for place, word in enumerate(wanted)}

    def rows_of(part: list[str]) -> npt.NDArray[np.int64]:
        sizes = np.array([len(found[word]) for word in part])
        offsets = np.array([start[word] for word in part])
        return offsets + (generator.random((samples, len(part))) * sizes).astype(np.int64)

    drawn = [rows_of(part) for part in words]  # (samples, words) rows of `vectors`
    s = _associations(vectors, np.concatenate(drawn[:2], axis=1), drawn[2], drawn[3])  # (samples, targets)
    split = len(words[0])
    spread = s.std(axis=1, ddof=1)
    usable = spread > 0
    if usable.sum() < 2:
        raise DataError(
            f"Association test {test.name}: all associations are equal in every draw: nothing can be pooled."
        )
    effects = (s[usable, :split].mean(axis=1) - s[usable, split:].mean(axis=1)) / spread[usable]
    pooled = random_effects(effects, spread[usable] ** 2)
    of_words = s.mean(axis=0)
    difference = difference_of_means("difference", of_words[:split], of_words[split:], options, draws=draws)
    permutation = difference.test
    sizes = (split, len(words[1]))
    ceiling = effect_size_ceiling(*sizes, 1)
    replicates = _word_replicates(s[usable], split, options, generator)
    low, high = percentiles(
        replicates,
        smaller=min(sizes),
        degrees=sum(sizes) - 2,
        options=options,
        bounds=(-ceiling, ceiling),
        value=pooled.effect,
    )
    score = Score(
        "combined effect size",
        pooled.effect,
        low,
        high,
        int(usable.sum()),
        options.confidence,
        f"bias-corrected bootstrap over {sizes[0]} + {sizes[1]} target words, {len(replicates):,} resamples of "
        f"{min(_INTERVAL_DRAWS, int(usable.sum()))} draws; {permutation.describe()}",
        False,
        "",
        f"At most {ceiling:.3f}; n counts draws.",
    )
    finding = Finding(
        measure="ceat",
        category=test.name,
        score=score,
        no_bias=0.0,
        clusters=sum(sizes),
        p_value=permutation.p_value,
        # The smallest difference of words that is found, in the standard deviation of an average draw.
        detectable=None if difference.detectable is None else difference.detectable / float(spread[usable].mean()),
        ceiling=ceiling,
        graded=False,
        source=SOURCE,
        notes=(
            *test.notes,
            how,
            *notes,
            f"Published statistics, which take {int(usable.sum()):,} draws of the same words for independent: standard "
            f"error {pooled.error:.4f}, p {pooled.p_value:.2g}, tau^2 {pooled.between:.4f}.",
        ),
    )
    targets = [(one.name, word) for one, part in zip(test.targets, words, strict=False) for word in part]
    items = {
        "item_id": [f"{test.name}/{name}/{word}" for name, word in targets],
        "cluster_id": [word for _, word in targets],
        "category": [test.name] * len(targets),
        "value": np.concatenate(aligned(of_words[:split], of_words[split:])).tolist(),
        "raw": of_words.tolist(),
        "list": [name for name, _ in targets],
        "contexts": [len(found[word]) for _, word in targets],
    }
    return Findings(findings=(finding,), items=items, data=about(test) | {"texts": len(corpus)})


def _encode(encoder: TextEncoder, contexts: list[Context]) -> tuple[Float, str]:
    """Return the vectors of the contexts, of length 1, and what they are of."""
    if isinstance(encoder, ContextEncoder):
        vectors = np.asarray(
            encoder.encode_in_context([text for text, _ in contexts], [span for _, span in contexts]), np.float64
        )
        how = "Each context is the vector of the word in its text."
    else:
        unique = list(dict.fromkeys(text for text, _ in contexts))
        place = {text: row for row, text in enumerate(unique)}
        encoded = np.asarray(encoder.encode_texts(unique), np.float64)
        vectors = encoded[[place[text] for text, _ in contexts]]
        how = "Each context is the vector of the whole text: the encoder has none for a word in its text."
    if vectors.ndim != 2 or len(vectors) != len(contexts) or not np.isfinite(vectors).all():
        raise DataError(
            f"The encoder returned shape {vectors.shape} for {len(contexts)} contexts, or numbers not finite."
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0), how


def _associations(
    vectors: Float, targets: npt.NDArray[np.int64], a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]
) -> Float:
    """Return s of every target in every draw, (samples, targets)."""
    result = np.empty(targets.shape)
    rows = max(1, 4_000_000 // (vectors.shape[1] * max(targets.shape[1], a.shape[1], b.shape[1])))
    for start in range(0, len(targets), rows):
        part = slice(start, start + rows)
        direction = vectors[a[part]].mean(axis=1) - vectors[b[part]].mean(axis=1)  # (rows, dimensions)
        result[part] = np.einsum("rtd,rd->rt", vectors[targets[part]], direction)
    return result


def _word_replicates(s: Float, split: int, options: StatisticsOptions, generator: np.random.Generator) -> Float:
    """Return the mean effect size of some draws with the target words resampled, (resamples,)."""
    s = s[:_INTERVAL_DRAWS]
    s = s - s.mean(axis=1, keepdims=True)
    resamples = min(options.resamples, _INTERVAL_RESAMPLES)
    sums = []
    for part in (s[:, :split], s[:, split:]):
        drawn = counts(part.shape[1], resamples, generator)
        size = np.full((resamples, len(part)), float(part.shape[1]))
        sums.append(np.stack([size, drawn @ part.T, drawn @ (part**2).T], axis=-1))
    effects = effect_size_of_sums(sums[0], sums[1])  # (resamples, draws)
    with np.errstate(all="ignore"):
        defined = np.isfinite(effects)
        return np.where(defined.any(axis=1), np.where(defined, effects, 0.0).sum(axis=1) / defined.sum(axis=1), np.nan)
