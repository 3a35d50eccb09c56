"""Contributions of tokens to the logit of a network: by gradients, and exact ones for the bag of n-grams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nlpladder.models.attribution_gradients import (
    baseline_id,
    gradient_times_input,
    integrated_gradients,
    score_of,
)
from nlpladder.models.attributions import Attribution, Contribution, Method, Span, class_names
from nlpladder.models.evaluating import evaluating

if TYPE_CHECKING:
    from nlpladder.models.sequence_classifier import SequenceClassifier

#: From this share of the difference on an error of the integral is told.
_ROUGH = 0.05


def attribute_neural(
    classifier: SequenceClassifier,
    text: str,
    label: int,
    against: int | None,
    method: Method = "integrated_gradients",
) -> Attribution:
    """Take the logit of a class apart, or the difference of two logits.

    Args:
        classifier: Model and tokenizer.
        text: One text.
        label: Number of the class.
        against: Number of the class whose logit is subtracted.
        method: ``integrated_gradients`` or ``gradient_x_input``; the bag of n-grams is exact in any case.
    """
    encoded = classifier.tokenizer(text, truncation=True, max_length=classifier.max_length, verbose=False)
    ids = list(encoded["input_ids"])
    places = _places(classifier.tokenizer, encoded, text)
    names = classifier.tokenizer.convert_ids_to_tokens(ids)
    names = [str(name) if place is None else text[slice(*place)] for name, place in zip(names, places, strict=True)]
    notes = []
    whole = classifier.tokenizer(text, truncation=False, verbose=False)["input_ids"]
    if len(whole) > len(ids):
        notes.append(f"The model reads {len(ids)} tokens; of this text's {len(whole)}, those behind count for nothing.")
    model = classifier.model
    baseline = ""
    with evaluating(model, gradients=True):
        if model.config.model_type == "nlpladder_bag_of_ngrams":
            method = "exact"
            score, values = _bag_of_ngrams(classifier, ids, label, against)
        elif method == "gradient_x_input":
            score, values = gradient_times_input(classifier, ids, label, against)
        else:
            method = "integrated_gradients"
            score, start, values = integrated_gradients(classifier, ids, label, against)
            baseline = _baseline(classifier)
            error = score - start - sum(values)
            if abs(error) > max(0.05, _ROUGH * abs(score - start)):
                notes.append(f"Of the score {error:+.2f} is an error of the integral, and counted with the baseline.")
    labels = class_names(classifier)
    return Attribution(
        text=text,
        label=labels[label],
        against=None if against is None else labels[against],
        score=score,
        base=score - sum(values),
        method=method,
        contributions=tuple(Contribution(name, value) for name, value in zip(names, values, strict=True)),
        spans=_spans(places, values),
        note=" ".join(notes),
        baseline=baseline,
    )


def _baseline(classifier: SequenceClassifier) -> str:
    place = baseline_id(classifier)
    if place is None:
        return "a zero vector for every word"
    return f"{classifier.tokenizer.convert_ids_to_tokens(place)} for every word"


@torch.inference_mode()
def _bag_of_ngrams(
    classifier: SequenceClassifier, ids: list[int], label: int, against: int | None
) -> tuple[float, list[float]]:
    """Return the score and what each token adds to it: the mean of embeddings and a linear layer are one sum.

    An n-gram's term is shared equally by its tokens. Its embedding is found by the model itself: the rows of an n-gram
    are those that the model reads for it and for none of its parts.
    """
    model = classifier.model
    score = float(score_of(model(**classifier._pad([ids])).logits[0].double(), label, against))
    if not ids:
        return score, []
    layer = model.classifier
    weights = layer.weight[label] if against is None else layer.weight[label] - layer.weight[against]
    device = layer.weight.device
    longest = min(model.config.max_ngram, len(ids))
    values = [0.0] * len(ids)
    sums: dict[tuple[int, ...], float] = {}  # w · (sum of all rows that the model reads for these tokens)
    for size in range(1, longest + 1):
        for begin in range(len(ids) - size + 1):
            part = tuple(ids[begin : begin + size])
            if part not in sums:
                sums[part] = _bag_sum(model, part, weights, device)
    count = sum(len(ids) - size + 1 for size in range(1, longest + 1))
    for size in range(1, longest + 1):
        for begin in range(len(ids) - size + 1):
            part = tuple(ids[begin : begin + size])
            # By inclusion and exclusion: the row of the whole n-gram alone.
            own = sums[part]
            if size > 1:
                own -= sums[part[:-1]] + sums[part[1:]] - (sums[part[1:-1]] if size > 2 else 0.0)
            for place in range(begin, begin + size):
                values[place] += own / size / count
    return score, values


def _bag_sum(model: Any, part: tuple[int, ...], weights: Tensor, device: torch.device) -> float:
    """Return the sum, by the weights, of all embeddings that the model reads for some tokens: their mean, times n."""
    read = torch.tensor([list(part)], device=device)
    pooled, _ = model.encode(read, torch.ones_like(read, dtype=torch.bool))
    longest = min(model.config.max_ngram, len(part))
    count = sum(len(part) - size + 1 for size in range(1, longest + 1))
    return float((pooled[0].double() * weights.double()).sum()) * count


def _places(tokenizer: Any, encoded: Any, text: str) -> list[tuple[int, int] | None]:
    """Return where each token stands in the text; None for special tokens, and for all of a slow tokenizer."""
    ids = encoded["input_ids"]
    if not getattr(tokenizer, "is_fast", False) or not getattr(encoded, "encodings", None):
        return [None] * len(ids)
    encoding = encoded.encodings[0]
    found: list[tuple[int, int] | None] = []
    for (begin, end), special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True):
        while begin < end and text[begin].isspace():  # pieces of byte-level vocabularies begin with the blank
            begin += 1
        found.append(None if special or begin >= end else (int(begin), int(end)))
    return found


def _spans(places: list[tuple[int, int] | None], values: list[float]) -> tuple[Span, ...]:
    """Return the spans in order; tokens that share characters, such as the bytes of one letter, share a span."""
    spans: list[Span] = []
    for place, value in zip(places, values, strict=True):
        if place is None:
            continue
        begin, end = place
        if spans and begin < spans[-1].end:
            last = spans[-1]
            spans[-1] = Span(last.begin, max(last.end, end), last.value + value)
        else:
            spans.append(Span(begin, end, value))
    return tuple(spans)
