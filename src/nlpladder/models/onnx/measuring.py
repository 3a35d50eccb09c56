"""How far an exported classifier is from the model it was made from: logits, labels, and seconds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlpladder.protocols import Task

#: Two values of a regression count as different when they lie further apart than this share of the spread of all.
REGRESSION_SHARE = 0.1
_BATCH = 32


@dataclass(frozen=True)
class Speed:
    """What a classifier takes, tokenising included.

    Attributes:
        threads: Of a forward pass.
        milliseconds: Median of one text alone.
        texts_per_second: In batches of 32 texts of like length; the best of the passes.
    """

    threads: int
    milliseconds: float
    texts_per_second: float


def changed_labels(before: np.ndarray, after: np.ndarray, task: Task) -> np.ndarray:
    """Return which texts get another answer, shape (texts,).

    For ``single_label`` another class is the most probable; for ``multi_label`` some label crosses 0.5; for
    ``regression`` the value moves by more than a tenth of the standard deviation of the earlier values.

    Args:
        before: Probabilities or values, (texts, labels).
        after: The same texts by the other model.
        task: What the labels are.
    """
    if task == "single_label":
        return before.argmax(axis=1) != after.argmax(axis=1)
    if task == "multi_label":
        return ((before >= 0.5) != (after >= 0.5)).any(axis=1)
    return (np.abs(before - after) > REGRESSION_SHARE * max(float(before.std()), 1e-12)).any(axis=1)


def probe_rows(*, vocabulary: int, max_length: int, seed: int = 0) -> list[list[int]]:
    """Return random token ids of lengths from 1 to the longest: what is compared before any text is.

    Args:
        vocabulary: Token ids that the model has embeddings for.
        max_length: The longest.
        seed: Fixes them.
    """
    generator = np.random.default_rng(seed)
    lengths = sorted({1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, max_length - 1, max_length} - {0})
    return [generator.integers(0, vocabulary, length).tolist() for length in lengths if length <= max_length]


def padding_effect(classifier: Any, rows: Sequence[Sequence[int]]) -> float:
    """Return by how much a logit of a text changes at most when all texts are read in one padded batch.

    Args:
        classifier: An `OnnxClassifier`.
        rows: Token ids of the texts, of several lengths.
    """
    alone = np.concatenate([classifier.run(*classifier.pad([row])) for row in rows])
    return float(np.abs(classifier.run(*classifier.pad(rows)) - alone).max())


def logit_distance(classifier: Any, model: Any, rows: Sequence[Sequence[int]]) -> float:
    """Return the largest distance of a logit from that of the torch model, for each text alone and for all in a batch.

    Args:
        classifier: An `OnnxClassifier`.
        model: The torch model.
        rows: Token ids of the texts.
    """
    import torch

    worst = 0.0
    for batch in [*([row] for row in rows), rows]:
        ids, mask = classifier.pad(batch)
        with torch.inference_mode():
            wanted = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits.numpy()
        worst = max(worst, float(np.abs(classifier.run(ids, mask) - wanted).max()))
    return worst


def measure_speed(
    predict: Callable[[Sequence[str]], Any], texts: Sequence[str], *, threads: int, passes: int = 2
) -> Speed:
    """Return how fast texts are answered, one by one and in batches of 32.

    Args:
        predict: Takes texts.
        texts: In the order of their lengths, so that a batch holds texts of like length.
        threads: Told in the result; the caller has set them.
        passes: Over the texts; of the batches the fastest counts, of the single texts the median of all.
    """
    predict(texts[:1])
    seconds = []
    for text in texts:
        started = time.perf_counter()
        predict([text])
        seconds.append(time.perf_counter() - started)
    fastest = min(_pass(predict, texts) for _ in range(passes))
    return Speed(threads, round(1000 * statistics.median(seconds), 2), round(len(texts) / fastest, 1))


def _pass(predict: Callable[[Sequence[str]], Any], texts: Sequence[str]) -> float:
    started = time.perf_counter()
    for start in range(0, len(texts), _BATCH):
        predict(texts[start : start + _BATCH])
    return time.perf_counter() - started
