"""Small profiles that the tests of this folder share."""

from __future__ import annotations

import numpy as np

from nlpladder.drift.profile import Profile
from nlpladder.drift.saving import build_profile

WORDS = [f"{stem}{number}" for stem in ("ba", "ko", "mi", "tu") for number in range(60)]


def random_texts(count: int, *, seed: int, unknown: float = 0.05, length: float = 12.0) -> list[str]:
    """Return texts of independent words, some of them in no training text."""
    generator = np.random.default_rng(seed)
    texts = []
    for _ in range(count):
        words = generator.choice(WORDS, size=1 + int(generator.poisson(length)))
        fresh = generator.random(len(words)) < unknown
        texts.append(" ".join("new" + word if new else word for word, new in zip(words, fresh, strict=True)))
    return texts


def random_answers(count: int, *, seed: int, positive: float = 0.5) -> list[dict]:
    """Return answers of a classifier of two classes."""
    generator = np.random.default_rng(seed)
    answers = []
    for sure, is_positive in zip(generator.beta(4, 2, count), generator.random(count) < positive, strict=True):
        label, other = ("positive", "negative") if is_positive else ("negative", "positive")
        top = 0.5 + sure / 2
        answers.append({"label": label, "probabilities": {label: top, other: 1 - top}})
    return answers


def classifier_profile(rows: int = 500, *, seed: int = 1) -> Profile:
    """Return the profile of a classifier whose traffic is `random_texts` and `random_answers`."""
    answers = random_answers(rows, seed=seed + 1000)
    columns = {
        "predicted_class": np.array([("negative", "positive").index(one["label"]) for one in answers], dtype=float),
        "confidence": np.array([round(max(one["probabilities"].values()), 4) for one in answers]),
    }
    return build_profile(
        task="classify",
        train=[" ".join(WORDS)],
        held_out=random_texts(rows, seed=seed),
        answers=columns,
        label_names=("negative", "positive"),
    )
