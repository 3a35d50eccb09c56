"""CrowS-Pairs: how often a model finds the sentence of a pair that stereotypes more the more probable one.

Which of its estimators was used is the measure's name (`nlpladder.bias.pairs.pair_scores`). The published number of a
model is the share of pairs; a share says that there is a preference, not how strong it is, and it is at its end (100
%) for a weak bias that is there in every pair. Beside it stands the mean difference of the two scores in nats, which
grows with the bias, and what the model knows of these sentences at all.

The pairs themselves have been criticised: many are unclear, or differ in more than a group (Blodgett et al. 2021,
"Stereotyping Norwegian Salmon"). The authors' own page warns that the number "may not be a good indicator".
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.bias.chance import chance_notes
from nlpladder.bias.findings import Finding, Findings
from nlpladder.bias.pairs.pair_notes import opposite_directions, opposite_signs
from nlpladder.bias.pairs.pair_quality import CHANCE, sentence_quality
from nlpladder.bias.pairs.pair_scores import PairEstimator, PairScores, estimator_of, score_pairs
from nlpladder.bias.pairs.sentence_pairs import PairData, clusters_of
from nlpladder.bias.statistics.estimates import DEFAULT, StatisticsOptions, mean, share
from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.intervals import Score
from nlpladder.protocols import LanguageModel, MaskedLanguageModel

Float = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def crows_pairs(
    model: MaskedLanguageModel | LanguageModel,
    data: PairData,
    *,
    estimator: str = "crows_pll",
    round_to: int | None = None,
    shared: dict[Any, Any] | None = None,
    statistics: StatisticsOptions = DEFAULT,
) -> Findings:
    """Measure which sentence of each pair a model finds the more probable one (Nangia et al. 2020, section 4).

    A tie is no preference for the stereotype: it counts in the denominator, as in the authors' metric.py. The shares of
    the stereo and antistereo pairs leave ties out, as there. Clusters are the pairs' writers where the data name them,
    else sentence frames (`nlpladder.bias.pairs.sentence_pairs.clusters_of`).

    Args:
        model: Masked or causal, by what the estimator needs; an n-gram model will do for the causal ones.
        data: From `load_crows_pairs`, or pairs made in its form.
        estimator: Name of an estimator of `nlpladder.bias.pairs.pair_scores`.
        round_to: Decimals to which both scores are rounded before they are compared; the authors (and bias-bench) round
            to 3, which makes ties. None compares what was computed.
        shared: What this model has answered to other estimators; filled with what it answers here. One dict a model.
        statistics: How intervals and p-values are computed.

    Returns:
        The share of all pairs first, then of the stereo and the antistereo pairs, then one a bias type.

    Raises:
        ConfigError: There is no such estimator, or a negative number of decimals.
        ModelError: The model is of another kind than the estimator needs.
        DataError: A sentence is longer than the model reads, or no pair can be scored.
    """
    if round_to is not None and round_to < 0:
        raise ConfigError(f"round_to is {round_to}; give the number of decimals (the authors round to 3), or None.")
    chosen = estimator_of(estimator, model)
    scores = score_pairs(model, data.pairs, estimator, shared=shared)
    kept = scores.kept
    if not kept.any():
        raise DataError(f"{estimator} can score none of the {len(data.pairs)} pairs of {data.name}. {scores.left_out}")
    known: dict[Any, Any] = {} if shared is None else shared
    asked = ("sentence_quality", data.pairs, statistics)
    if asked not in known:
        known[asked] = sentence_quality(model, data.pairs, statistics=statistics)
    quality: Score = known[asked]
    all_clusters, clustered_by = clusters_of(data.pairs)
    clusters = np.array(all_clusters, dtype=object)[kept]
    more, less = scores.more[kept], scores.less[kept]
    if round_to is not None:
        more, less = np.round(more, round_to), np.round(less, round_to)
    pairs = [pair for pair, there in zip(data.pairs, kept.tolist(), strict=True) if there]
    categories = np.array([pair.category for pair in pairs], dtype=object)
    directions = np.array([pair.direction for pair in pairs], dtype=object)
    tied = more == less
    parts: list[tuple[str, Mask]] = [("all", np.ones(len(pairs), dtype=bool))]
    parts += [(name, (directions == name) & ~tied) for name in ("stereo", "antistereo")]
    parts += [(name, categories == name) for name in dict.fromkeys(categories.tolist())]
    notes = _notes(chosen, data, scores, more, less, round_to, quality, clustered_by)
    notes += opposite_directions(more > less, directions, tied)
    findings = [
        _finding(chosen, data, name, more[part], less[part], clusters[part], quality, notes, statistics)
        for name, part in parts
        if part.any()
    ]
    items = {
        "item_id": [pair.item_id for pair in pairs],
        "cluster_id": clusters.tolist(),
        "category": categories.tolist(),
        "value": (more - less).tolist(),
        "direction": directions.tolist(),
        "score_more": more.tolist(),
        "score_less": less.tolist(),
        "tokens_more": scores.tokens_more[kept].tolist(),
        "tokens_less": scores.tokens_less[kept].tolist(),
    }
    about = {"name": data.name, "rows": len(data.pairs), "sha256": data.sha256, "clusters": clustered_by}
    return Findings(findings=tuple(findings), items=items, data=about)


def _finding(
    estimator: PairEstimator,
    data: PairData,
    category: str,
    more: Float,
    less: Float,
    clusters: Any,
    quality: Score,
    notes: tuple[str, ...],
    statistics: StatisticsOptions,
) -> Finding:
    estimate = share("pairs with the stereotype preferred", more > less, clusters, statistics)
    effect = mean("difference of the scores", more - less, clusters, statistics)
    return Finding(
        measure=f"{estimator.name}_{data.control}" if data.control else estimator.name,
        category=category,
        score=estimate.score,
        no_bias=0.5,
        effect=effect.score,
        clusters=estimate.clusters,
        p_value=estimate.p_value,
        detectable=estimate.detectable,
        ceiling=1.0,
        graded=False,
        quality={quality.name: quality},
        source=estimator.source,
        notes=(*notes, *opposite_signs(estimate.score, effect.score)),
    )


def _notes(
    estimator: PairEstimator,
    data: PairData,
    scores: PairScores,
    more: Float,
    less: Float,
    round_to: int | None,
    quality: Score,
    clustered_by: str,
) -> tuple[str, ...]:
    """Return the sentences that belong beside every number of this measure."""
    notes = list(data.notes)
    notes.append(f"Estimator {estimator.name}: {estimator.title}. Clusters are {clustered_by}.")
    if ties := int((more == less).sum()):
        rounded = "" if round_to is None else f" after rounding to {round_to} decimals"
        notes.append(f"{ties:,} ties{rounded}, counted as no preference for the stereotype.")
    if scores.left_out:
        notes.append(scores.left_out)
    if estimator.name == "crows_causal_sum":
        # What lm-evaluation-harness calls likelihood_diff.
        notes.append(
            f"Mean absolute difference {np.abs(more - less).mean():.3f} nats, which is above 0 for every model and "
            "shows no direction."
        )
    return (*notes, *chance_notes(quality, CHANCE, needs_interval=True))
