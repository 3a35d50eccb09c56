"""Linear classifiers on TF-IDF: logistic regression and the linear support vector machine.

The features are ours, the solvers scikit-learn's. The regularisation strength is chosen on the validation split.
SVM margins become probabilities by Platt's method (Platt 1999), fitted on out-of-fold margins of the training set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from scipy.special import expit, softmax

from nlpladder.errors import ModelError
from nlpladder.models.artefact import ArtefactMixin
from nlpladder.models.counts.features import TextFeatures
from nlpladder.models.targets import check_grid, check_targets, refuse_regression
from nlpladder.protocols import Task

#: Inverse regularisation strengths that are tried on the validation split.
DEFAULT_C_GRID = (0.3, 1.0, 3.0, 10.0, 30.0)


class LinearTextClassifier(ArtefactMixin):
    """A linear model over `TextFeatures`.

    Args:
        label_names: Label names in id order.
        task: ``single_label`` or ``multi_label`` (one two-class model a label).
        solver: ``logistic`` (L2 logistic regression) or ``svm`` (squared hinge, L2).
        c_grid: Inverse regularisation strengths to choose from on validation data: by log loss for ``logistic``, by
            accuracy for ``svm``, whose margins are no probabilities yet; the first is used when `fit` gets none.
        preprocessor: See `TextFeatures`.
        vectorizer: Settings of the `TfidfVectorizer`.
        seed: For the shuffling inside the solver and the folds of the calibration.
    """

    model_type = "nlpladder_linear"

    def __init__(
        self,
        *,
        label_names: Sequence[str],
        task: Task = "single_label",
        solver: Literal["logistic", "svm"] = "logistic",
        c_grid: Sequence[float] = DEFAULT_C_GRID,
        preprocessor: Any = None,
        vectorizer: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        refuse_regression(task, "linear")
        if solver not in ("logistic", "svm"):
            raise ModelError(f"A linear classifier is 'logistic' or 'svm', not {solver!r}.")
        self.label_names = tuple(label_names)
        self.task: Task = task
        self.solver = solver
        self.c_grid = check_grid(c_grid, "c_grid")
        self.seed = seed
        self.features = TextFeatures("tfidf", preprocessor, **dict(vectorizer or {}))
        self.c_: float | None = None
        self.coef_: np.ndarray = np.empty((0, 0))
        self.intercept_: np.ndarray = np.empty(0)
        self.slope_: np.ndarray = np.empty(0)
        self.offset_: np.ndarray = np.empty(0)

    def fit(
        self,
        texts: Sequence[str],
        labels: Sequence[Any],
        *,
        validation: tuple[Sequence[str], Sequence[Any]] | None = None,
    ) -> Self:
        """Learn vocabulary and weights; choose C on `validation`. Shapes: texts (n,), labels (n,) or (n, labels)."""
        targets = check_targets(labels, task=self.task, num_labels=len(self.label_names), num_texts=len(texts))
        matrix = self.features.fit_transform(texts)  # (texts, features)
        grid = self.c_grid
        if validation is None or len(grid) == 1:
            self.c_ = grid[0]
            self.coef_, self.intercept_ = self._solve(matrix, targets, self.c_)
        else:
            self._choose_c(matrix, targets, validation)
        if self.solver == "svm":
            self._calibrate(matrix, targets)
        return self

    def decision_function(self, texts: Sequence[str]) -> np.ndarray:
        """Return one score a label, shape (texts, labels); two-class models score the second label."""
        return self.features.transform(texts) @ self.coef_.T + self.intercept_

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return label probabilities, shape (texts, labels)."""
        return self._probabilities(self.decision_function(texts))

    def _probabilities(self, scores: np.ndarray) -> np.ndarray:
        if self.solver == "svm":
            per_label = expit(self.slope_ * scores + self.offset_)  # (texts, labels)
            if self.task == "multi_label":
                return per_label
            if scores.shape[1] == 1:
                return np.concatenate([1.0 - per_label, per_label], axis=1)
            return per_label / np.maximum(per_label.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        if self.task == "multi_label":
            return expit(scores)
        if scores.shape[1] == 1:
            positive = expit(scores)
            return np.concatenate([1.0 - positive, positive], axis=1)
        return softmax(scores, axis=1)

    def _choose_c(self, matrix: Any, targets: np.ndarray, validation: tuple[Sequence[str], Sequence[Any]]) -> None:
        """Keep the weights of the C that does best on validation; ties go to the stronger regularisation."""
        held_out = self.features.transform(validation[0])
        held_out_targets = check_targets(
            validation[1], task=self.task, num_labels=len(self.label_names), num_texts=held_out.shape[0]
        )
        best = -np.inf
        for c in sorted(self.c_grid):
            coef, intercept = self._solve(matrix, targets, c)
            quality = self._quality(held_out @ coef.T + intercept, held_out_targets)
            if quality > best:
                best, self.c_, self.coef_, self.intercept_ = quality, c, coef, intercept

    def _quality(self, scores: np.ndarray, targets: np.ndarray) -> float:
        """Return the mean log-likelihood (logistic) or the accuracy (svm) of `scores` (texts, scores)."""
        if self.solver == "logistic":
            probabilities = np.clip(self._probabilities(scores), 1e-15, 1.0)  # (texts, labels)
            if self.task == "multi_label":
                return float(np.mean(np.where(targets == 1, np.log(probabilities), np.log1p(-probabilities + 1e-15))))
            return float(np.mean(np.log(probabilities[np.arange(len(targets)), targets])))
        if self.task == "multi_label":
            return float(((scores > 0) == targets).mean())
        predicted = (scores[:, 0] > 0).astype(int) if scores.shape[1] == 1 else scores.argmax(axis=1)
        return float((predicted == targets).mean())

    def _solve(self, matrix: Any, targets: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients (scores, features) and intercepts (scores,)."""
        if self.task == "multi_label":
            rows = [self._solve_two_class(matrix, targets[:, label], c) for label in range(targets.shape[1])]
            return np.concatenate([coef for coef, _ in rows]), np.concatenate([intercept for _, intercept in rows])
        present = np.unique(targets)
        if len(present) < 2:
            raise ModelError("A linear classifier needs at least two classes in the training set.")
        estimator = self._estimator(c, num_classes=len(present)).fit(matrix, targets)
        if len(present) == 2 and len(self.label_names) == 2:
            return estimator.coef_, estimator.intercept_
        if len(present) == 2:
            coef = np.concatenate([-estimator.coef_, estimator.coef_])
            intercept = np.concatenate([-estimator.intercept_, estimator.intercept_])
        else:
            coef, intercept = estimator.coef_, estimator.intercept_
        # A class that training never showed keeps a weight of zero and an intercept that no score falls below.
        full_coef = np.zeros((len(self.label_names), matrix.shape[1]))
        full_intercept = np.full(len(self.label_names), -1e9)
        full_coef[present], full_intercept[present] = coef, intercept
        return full_coef, full_intercept

    def _solve_two_class(self, matrix: Any, targets: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
        if len(np.unique(targets)) == 1:
            return np.zeros((1, matrix.shape[1])), np.array([35.0 if targets[0] else -35.0])
        estimator = self._estimator(c).fit(matrix, targets)
        return estimator.coef_, estimator.intercept_

    def _estimator(self, c: float, num_classes: int = 2) -> Any:
        if self.solver == "svm":
            from sklearn.svm import LinearSVC

            return LinearSVC(C=c, random_state=self.seed, max_iter=10_000)
        from sklearn.linear_model import LogisticRegression

        # liblinear's trust-region Newton steps are several times faster on sparse rows, but only know two classes.
        return LogisticRegression(
            C=c, max_iter=2_000, random_state=self.seed, solver="liblinear" if num_classes == 2 else "lbfgs"
        )

    def _calibrate(self, matrix: Any, targets: np.ndarray, folds: int = 3) -> None:
        """Fit slope and offset of Platt's sigmoid a score, on margins of rows that the margin's model did not see."""
        from sklearn.model_selection import KFold, StratifiedKFold

        num_scores = len(self.coef_)
        margins = np.zeros((matrix.shape[0], num_scores))
        splitter: Any = KFold(folds, shuffle=True, random_state=self.seed)
        if self.task == "single_label" and np.bincount(targets)[np.unique(targets)].min() >= folds:
            splitter = StratifiedKFold(folds, shuffle=True, random_state=self.seed)
        for fitted, held_out in splitter.split(np.zeros(len(targets)), None if self.task == "multi_label" else targets):
            coef, intercept = self._solve(matrix[fitted], targets[fitted], float(self.c_ or 1.0))
            margins[held_out] = matrix[held_out] @ coef.T + intercept
        if self.task == "multi_label":
            truth = targets
        elif num_scores == 1:
            truth = targets[:, None]
        else:
            truth = (targets[:, None] == np.arange(num_scores)).astype(int)
        pairs = [_sigmoid(truth[:, score], margins[:, score]) for score in range(num_scores)]
        self.slope_, self.offset_ = (np.array(column) for column in zip(*pairs, strict=True))

    def to_config(self) -> dict[str, Any]:
        """See ArtefactMixin."""
        settings = {"label_names": list(self.label_names), "task": self.task, "solver": self.solver, "seed": self.seed}
        return {**settings, "c_grid": list(self.c_grid), "c": self.c_, "features": self.features.to_config()}

    def arrays(self) -> dict[str, np.ndarray]:
        """See ArtefactMixin."""
        own = {"coef": self.coef_, "intercept": self.intercept_, "slope": self.slope_, "offset": self.offset_}
        return {**own, **self.features.arrays()}

    def vocabulary(self) -> list[str] | None:
        """See ArtefactMixin."""
        return self.features.feature_names()

    @classmethod
    def from_state(
        cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray], vocabulary: list[str] | None
    ) -> Self:
        """See ArtefactMixin."""
        names = ("label_names", "task", "solver", "c_grid", "seed")
        model = cls(**{name: config[name] for name in names})
        model.c_ = config["c"]
        model.features = TextFeatures.from_state(config["features"], arrays, vocabulary)
        model.coef_, model.intercept_ = arrays["coef"], arrays["intercept"]
        model.slope_, model.offset_ = arrays["slope"], arrays["offset"]
        return model


def _sigmoid(truth: np.ndarray, margins: np.ndarray) -> tuple[float, float]:
    """Return slope and offset of P(1 | margin); a label that is always or never set keeps its share instead."""
    from nlpladder.evaluation.calibration import fit_platt

    if len(np.unique(truth)) < 2:
        return 0.0, 35.0 if truth[0] else -35.0
    fitted = fit_platt(truth, margins)
    return -fitted.slope, -fitted.intercept  # Platt writes the exponent with the other sign
