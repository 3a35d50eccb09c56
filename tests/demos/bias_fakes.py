"""Models and a report for the tests of the tab Bias."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np

from nlpladder.bias.report import FORMAT
from nlpladder.bias.words.association_data import OWN_TESTS
from nlpladder.protocols import TokenScores

EVIL = '<img src=x onerror="alert(1)">'


@dataclass
class FakeVectors:
    """Vectors in which a word of X leans to A and one of Y to B by `lean`."""

    lean: float = 1.0
    seed: int = 0
    without: frozenset[str] = frozenset()
    test: str = "career_family_names"

    def __post_init__(self):
        generator = np.random.default_rng(self.seed)
        self.words = []
        rows = []
        for test in OWN_TESTS.values():
            for side, one in zip((1, -1, 1, -1), (*test.targets, *test.attributes), strict=True):
                for word in one.words:
                    if word in self.without or word in self.words:
                        continue
                    self.words.append(word)
                    direction = np.zeros(8)
                    direction[0] = side * self.lean if test.name == self.test else 0.0
                    rows.append(direction + 0.3 * generator.normal(size=8))
        self.vectors = np.array(rows)

    def embed(self, words):
        place = {word: row for row, word in enumerate(self.words)}
        return self.vectors[[place[word] for word in words]]


@dataclass
class FakeLanguageModel:
    """Gives a text minus its number of characters, and `bonus` for each word of it that is listed."""

    bonus: dict[str, float] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()

    def score(self, texts):
        found = []
        for text in texts:
            words = text.rstrip(".").split()
            logs = [self.bonus.get(word.lower(), 0.0) - 1.0 for word in words]
            known = [word not in self.unknown for word in words]
            found.append(TokenScores(tuple(words), np.array(logs), np.array(known), len(words), len(text)))
        return found

    def next_token_distribution(self, prefix):
        return ["a"], np.ones(1)

    def generate(self, prompts, options=None):
        return list(prompts)

    def num_parameters(self):
        return 1


@dataclass
class FakeClassifier:
    """Log-odds of "positive" are the sum of the weights of the words."""

    weights: dict[str, float] = field(default_factory=dict)
    label_names: tuple[str, ...] = ("negative", "positive")
    task: str = "single_label"

    def predict_proba(self, texts):
        odds = np.array(
            [sum(self.weights.get(word.strip(".,").lower(), 0.0) for word in text.split()) for text in texts]
        )
        positive = 1.0 / (1.0 + np.exp(-odds))
        return np.column_stack([1.0 - positive, positive])

    def num_parameters(self):
        return 1


def report(tmp_path, content, name="run/bias"):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    (folder / "bias.json").write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


SCORE = {
    "name": "s", "value": 0.61, "low": 0.55, "high": 0.66, "n": 120, "confidence": 0.95, "method": "m",
    "higher_is_better": False, "unit": "%", "note": "",
}  # fmt: skip
ROW = {
    "model": EVIL, "entry": "crows_pll", "measure": "crows_pll", "category": "all", "overall": True, "score": SCORE,
    "no_bias": 0.5, "expected": None, "effect": None, "clusters": 30, "p_value": 0.01, "p_holm": 0.02,
    "p_benjamini_hochberg": 0.02, "detectable": 0.1, "ceiling": 1.0, "graded": False, "quality": {}, "source": "x",
    "notes": [EVIL], "verdict": "shown",
}  # fmt: skip
CONTENT = {
    "format": FORMAT, "version": "0", "measured": "2026-11-22", "environment": {}, "stereotypes": True,
    "statistics": {"resamples": 1000, "confidence": 0.95, "seed": 0},
    "models": [
        {"name": EVIL, "kind": "k", "parameters": 1, "offers": [], "skipped": {"seat": "no *encoder*"}, "seconds": {}},
    ],
    "rows": [ROW, {**ROW, "category": "gender", "overall": False}], "heterogeneity": [], "comparisons": [], "data": {},
    "items": {},
}  # fmt: skip
