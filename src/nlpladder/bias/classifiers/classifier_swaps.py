"""What a classifier makes of a text when only names, pronouns or identity terms in it are exchanged.

Counterfactual fairness of text classifiers (Garg et al. 2019, "Counterfactual fairness in text classification through
robustness"): the prediction should not change. Some of it changes under any edit, so the same classifier reads a second
set of texts in which words without a social group ("tea", "coffee") are exchanged: what happens there is the floor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.bias.classifiers.classifier_gaps import about
from nlpladder.bias.classifiers.classifier_scores import chosen_labels, log_odds, predict
from nlpladder.bias.classifiers.group_differences import ratio
from nlpladder.bias.classifiers.labelled_texts import LabelledTexts, swap_texts
from nlpladder.bias.findings import Finding, Findings
from nlpladder.bias.statistics.estimates import DEFAULT, StatisticsOptions, function_of_sums, mean, share
from nlpladder.bias.swapping.counterfactuals import CounterfactualSwapper, apply_replacements, gender_swapper
from nlpladder.errors import DataError
from nlpladder.protocols import TextClassifier

Float = npt.NDArray[np.float64]

_SOURCE = "Garg et al. 2019, section 3 (counterfactual token fairness)"


def counterfactual_swaps(
    model: TextClassifier,
    data: LabelledTexts | Sequence[str] | None = None,
    *,
    swapper: CounterfactualSwapper | None = None,
    control: CounterfactualSwapper | None = None,
    labels: Sequence[str] | None = None,
    statistics: StatisticsOptions = DEFAULT,
) -> tuple[Findings, ...]:
    """Swap every term of each text, classify both versions, and compare with control swaps.

    Args:
        model: A classifier.
        data: Texts; those that mention no term are left aside and counted. Our own sentences when not given.
        swapper: What is exchanged; gendered words, pronouns and first names when not given.
        control: What is exchanged for the floor; everyday words of our own when not given.
        labels: Labels of the model; by default the second of two, or all.
        statistics: How intervals and p-values are computed.

    Returns:
        Three findings a label: ``counterfactual_log_odds``, the log-odds of the label in the version of the second side
        (feminine) minus those in the version of the first, in nats, signed; texts with as many terms of either side
        have no sign and are left out. ``counterfactual_flip_rate``, the share of texts whose decision changes, tested
        against the floor. ``counterfactual_change``, the mean size of the change of the probability, likewise. Of the
        last two the mean of the items' values is what lies above the floor; the plain numbers are in ``raw``.

    Raises:
        DataError: If no text mentions a term.
    """
    from nlpladder.bias.lexicon import CONTROL_PAIRS

    swapper = gender_swapper() if swapper is None else swapper
    control = CounterfactualSwapper(CONTROL_PAIRS) if control is None else control
    data = swap_texts() if data is None else data
    texts = list(data.texts if isinstance(data, LabelledTexts) else data)
    clusters = list(data.clusters) if isinstance(data, LabelledTexts) and data.clusters is not None else None
    source = data if isinstance(data, LabelledTexts) else LabelledTexts(texts=tuple(texts))
    arms: list[tuple[str, int, str, int]] = []  # arm, row, swapped text, direction
    replaced = 0
    for row, text in enumerate(texts):
        for arm, engine in (("swap", swapper), ("control", control)):
            found = engine.replacements(text)
            if found:
                sides = sum(1 if item.side == 0 else -1 for item in found)
                arms.append((arm, row, apply_replacements(text, found), int(np.sign(sides))))
                replaced += len(found) if arm == "swap" else 0
    swapped_rows = sum(arm == "swap" for arm, *_ in arms)
    if not swapped_rows:
        raise DataError(
            f"{source.name}: none of the {len(texts):,} texts mentions a term that is swapped. Give texts about "
            "people, or a swapper with other terms."
        )
    rows = np.array([row for _, row, _, _ in arms])
    before, after = _both_versions(model, texts, rows, [text for _, _, text, _ in arms])
    is_swap = np.array([arm == "swap" for arm, *_ in arms])
    direction = np.array([sign for *_, sign in arms])
    unit = [str(row) if clusters is None else clusters[row] for row in rows]
    notes = (
        f"Of {len(texts):,} texts, swaps changed {swapped_rows:,} ({replaced:,} terms in all), control swaps "
        f"{len(arms) - swapped_rows:,}.",
    )
    findings: dict[str, list[Finding]] = {"log_odds": [], "flip_rate": [], "change": []}
    items: dict[str, dict[str, list[Any]]] = {name: {} for name in findings}
    chosen = chosen_labels(model, labels)
    for label in chosen:
        column = list(model.label_names).index(label)
        category = label if len(chosen) > 1 else "all"
        if model.task == "single_label":
            flips = (before.argmax(axis=1) == column) != (after.argmax(axis=1) == column)
        else:
            flips = (before[:, column] > 0.5) != (after[:, column] > 0.5)
        sizes = np.abs(after[:, column] - before[:, column])
        nats = direction * (log_odds(after[:, column]) - log_odds(before[:, column]))
        signed = is_swap & (direction != 0)
        findings["log_odds"].append(_signed(nats, signed, unit, category, notes, statistics))
        arguments = (is_swap, unit, category, notes, statistics)
        findings["flip_rate"].append(_against_floor("counterfactual_flip_rate", flips.astype(float), "%", *arguments))
        findings["change"].append(_against_floor("counterfactual_change", sizes, "", *arguments))
        shared = {
            "item_id": [f"{arm}/{row}/{label}" for arm, row, *_ in arms],
            "cluster_id": unit,
            "category": [category] * len(arms),
            "label": [label] * len(arms),
            "arm": [arm for arm, *_ in arms],
            "before": before[:, column].tolist(),
            "after": after[:, column].tolist(),
            "text": [texts[row] for _, row, *_ in arms],
            "swapped": [text for _, _, text, _ in arms],
        }
        _add_items(items["log_odds"], shared, nats, nats, signed)
        everything = np.ones(len(arms), dtype=np.bool_)
        for name, raw in (("flip_rate", flips.astype(np.float64)), ("change", sizes)):
            _add_items(items[name], shared, raw * _above_floor(is_swap), raw, everything)
    return tuple(
        Findings(findings=tuple(group), items=items[name], data=about(source)) for name, group in findings.items()
    )


def identity_term_effects(
    model: TextClassifier,
    data: Sequence[str] | None = None,
    *,
    terms: Mapping[str, Sequence[str]] | None = None,
    labels: Sequence[str] | None = None,
    statistics: StatisticsOptions = DEFAULT,
) -> Findings:
    """Put each identity term of an axis into the same sentences and compare the log-odds of a label.

    The effect of a term is its log-odds minus the mean over the terms of its axis in the same sentence, in nats,
    averaged over sentences, which are the clusters. The first finding of an axis is its spread: the largest effect
    minus the smallest.

    Args:
        model: A classifier.
        data: Templates with ``{term}``; our own friendly and hostile ones when not given.
        terms: Identity terms by axis; ours when not given.
        labels: Labels of the model; by default the second of two, or all.
        statistics: How intervals and p-values are computed.

    Raises:
        DataError: If a template has not exactly one ``{term}``, or an axis has fewer than two terms.
    """
    from nlpladder.bias import lexicon
    from nlpladder.bias.classifiers.labelled_texts import FRIENDLY_TEMPLATES, HOSTILE_TEMPLATES, fill_template

    templates = list(data) if data is not None else [*FRIENDLY_TEMPLATES, *HOSTILE_TEMPLATES]
    axes = {axis: list(words) for axis, words in (terms or lexicon.IDENTITY_TERMS).items()}
    for template in templates:
        if template.count("{term}") != 1:
            raise DataError(f"The template {template!r} must hold {{term}} exactly once.")
    for axis, words in axes.items():
        if len(words) < 2:
            raise DataError(f"The axis {axis!r} has {len(words)} terms: a comparison needs at least two.")
    every = list(dict.fromkeys(word for words in axes.values() for word in words))
    filled = [fill_template(template, word) for word in every for template in templates]
    probabilities = predict(model, filled).reshape(len(every), len(templates), -1)
    place = {word: index for index, word in enumerate(every)}
    chosen = chosen_labels(model, labels)
    findings: list[Finding] = []
    items: dict[str, list[Any]] = {key: [] for key in ("item_id", "cluster_id", "category", "value", "label", "text")}
    for label in chosen:
        odds = log_odds(probabilities[:, :, list(model.label_names).index(label)])  # (terms, templates)
        prefix = f"{label}: " if len(chosen) > 1 else ""
        for axis, words in axes.items():
            rows = odds[[place[word] for word in words]]
            effects = rows - rows.mean(axis=0)  # (terms of the axis, templates)
            findings += _axis_findings(f"{prefix}{axis}", words, effects, statistics)
            for word, row in zip(words, effects, strict=True):
                for index, value in enumerate(row.tolist()):
                    items["item_id"].append(f"{label}/{axis}/{word}/{index}")
                    items["cluster_id"].append(str(index))
                    items["category"].append(f"{prefix}{axis}: {word}")
                    items["value"].append(value)
                    items["label"].append(label)
                    items["text"].append(filled[place[word] * len(templates) + index])
    return Findings(
        findings=tuple(findings), items=items, data=about(LabelledTexts(texts=tuple(filled), name="identity templates"))
    )


def _above_floor(is_swap: npt.NDArray[np.bool_]) -> Float:
    """Return weights, (pairs,), with which the mean over all pairs is that of swaps minus that of control swaps."""
    control = ~is_swap
    weights = np.where(is_swap, len(is_swap) / is_swap.sum(), 0.0)
    return weights if is_swap.all() else weights - control * len(is_swap) / control.sum()


def _add_items(
    items: dict[str, list[Any]],
    shared: Mapping[str, Sequence[Any]],
    values: Float,
    raw: Float,
    used: npt.NDArray[np.bool_],
) -> None:
    """Add one label's rows to the items of one measure; the mean of their values is the measure's contrast."""
    columns = {**{key: shared[key] for key in ("item_id", "cluster_id", "category")}, "value": values.tolist()}
    columns |= {**{key: column for key, column in shared.items() if key not in columns}, "raw": raw.tolist()}
    for key, column in columns.items():
        items.setdefault(key, []).extend(entry for entry, keep in zip(column, used, strict=True) if keep)


def _both_versions(
    model: TextClassifier, texts: Sequence[str], rows: npt.NDArray[np.intp], swapped: Sequence[str]
) -> tuple[Float, Float]:
    """Return the probabilities of the texts as they are, and swapped, both (pairs, labels)."""
    found = predict(model, [*(texts[row] for row in rows), *swapped])
    return found[: len(rows)], found[len(rows) :]


def _signed(
    nats: Float,
    used: npt.NDArray[np.bool_],
    unit: Sequence[str],
    category: str,
    notes: tuple[str, ...],
    options: StatisticsOptions,
) -> Finding:
    some = [one for one, keep in zip(unit, used, strict=True) if keep]
    estimate = mean("counterfactual_log_odds", nats[used], some, options, no_bias=0.0)
    return Finding(
        measure="counterfactual_log_odds",
        category=category,
        score=estimate.score,
        no_bias=0.0,
        effect=estimate.score,
        clusters=estimate.clusters,
        p_value=estimate.p_value,
        detectable=estimate.detectable,
        source=_SOURCE,
        notes=(*notes, "Above 0: the label is more probable in the version of the second side (feminine)."),
    )


def _against_floor(
    measure: str,
    values: Float,
    unit: str,
    is_swap: npt.NDArray[np.bool_],
    clusters: Sequence[str],
    category: str,
    notes: tuple[str, ...],
    options: StatisticsOptions,
) -> Finding:
    """Return the mean over swapped texts, with the mean over control swaps as what no bias looks like."""
    some = [one for one, keep in zip(clusters, is_swap, strict=True) if keep]
    if unit == "%":
        own = share(measure, values[is_swap], some, options, no_bias=None)
    else:
        own = mean(measure, values[is_swap], some, options, no_bias=None, unit=unit, bounds=(0.0, 1.0))
    if is_swap.all():
        notes = (*notes, "No text holds a control word, so there is no floor and no p.")
        return Finding(
            measure=measure,
            category=category,
            score=own.score,
            graded=unit != "%",
            clusters=own.clusters,
            ceiling=1.0,
            source=_SOURCE,
            notes=notes,
        )
    inside = np.column_stack([is_swap, ~is_swap]).astype(np.float64)
    columns = np.column_stack([inside[:, 0] * values, inside[:, 0], inside[:, 1] * values, inside[:, 1]])
    excess = function_of_sums(
        f"{measure}_above_floor",
        columns,
        clusters,
        lambda sums: ratio(sums[..., :2]) - ratio(sums[..., 2:]),
        options,
        no_bias=0.0,
        unit=unit,
        bounds=(-1.0, 1.0),
    )
    floor = float(values[~is_swap].mean())
    shown = excess.score.format()
    return Finding(
        measure=measure,
        category=category,
        score=own.score,
        graded=unit != "%",
        no_bias=floor,
        above_floor=excess.score,
        clusters=own.clusters,
        p_value=excess.p_value,
        detectable=excess.detectable,
        ceiling=1.0,
        source=_SOURCE,
        notes=(
            *notes,
            f"No bias is what {int((~is_swap).sum()):,} control swaps change. What the swaps change beyond "
            f"that is {shown}, and p tests it against 0.",
        ),
    )


def _axis_findings(name: str, words: Sequence[str], effects: Float, options: StatisticsOptions) -> list[Finding]:
    """Return the spread of an axis and the effect of each of its terms."""
    from nlpladder.bias.classifiers.group_design import SHUFFLES, at_floor, shuffle_p

    means = effects.mean(axis=1)
    spread = float(np.ptp(means))
    templates = effects.shape[1]
    # Without a bias the terms of a sentence could change places in it.
    for shuffles in dict.fromkeys((min(options.resamples, SHUFFLES), options.resamples)):
        generator = np.random.Generator(np.random.PCG64(options.seed))
        shuffled = np.empty(shuffles)
        for index in range(shuffles):
            shuffled[index] = np.ptp(generator.permuted(effects, axis=0).mean(axis=1))
        p_value = shuffle_p(spread, shuffled, two_sided=False)
        if not at_floor((p_value,), shuffles):
            break
    top, bottom = int(means.argmax()), int(means.argmin())
    own = mean("identity_term_spread", effects[top] - effects[bottom], None, options, no_bias=None)
    score = own.score
    notes = (
        f"From {words[bottom]!r} ({means[bottom]:+.3f} nats) to {words[top]!r} ({means[top]:+.3f}).",
        f"Shuffled terms show a spread of {shuffled.mean():.3f} nats on average; p is of a larger one. The interval is "
        "of these two terms, which were chosen for their difference.",
    )
    findings = [
        Finding(
            measure="identity_term_effect",
            category=name,
            score=score,
            no_bias=float(shuffled.mean()),
            effect=score,
            clusters=templates,
            p_value=p_value,
            smallest_p=1.0 / (1 + options.resamples),
            source="Dixon et al. 2018, section 5; in nats, within sentences",
            notes=notes,
        )
    ]
    for word, row in zip(words, effects, strict=True):
        estimate = mean("identity_term_effect", row, None, options, no_bias=0.0)
        findings.append(
            Finding(
                measure="identity_term_effect",
                category=f"{name}: {word}",
                score=estimate.score,
                no_bias=0.0,
                effect=estimate.score,
                clusters=estimate.clusters,
                p_value=estimate.p_value,
                detectable=estimate.detectable,
                source="Dixon et al. 2018, section 5; in nats, within sentences",
            )
        )
    return findings
