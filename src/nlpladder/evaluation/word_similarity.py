"""Do vectors agree with people about which words are similar? Rank correlation, with intervals and tests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nlpladder.errors import DataError
from nlpladder.evaluation.closed_intervals import has_no_spread, no_interval
from nlpladder.evaluation.intervals import Score, check_confidence
from nlpladder.evaluation.paired_tests import PairedTest
from nlpladder.evaluation.resampling import SpearmanProblem, bootstrap
from nlpladder.evaluation.word_lookup import WordLookup
from nlpladder.evaluation.word_pairs import WordPairs, load_word_pairs

if TYPE_CHECKING:
    from nlpladder.protocols import WordEmbeddings

#: Fewer pairs than this give no interval worth printing.
FEWEST_PAIRS = 4


@dataclass(frozen=True)
class WordSimilarity:
    """The result on one benchmark.

    Attributes:
        benchmark: Its name.
        spearman: Rank correlation on the covered pairs, with its interval.
        num_pairs: Pairs of the benchmark.
        num_covered: Pairs of which both words have a vector; the others are left out.
        missing: Words without a vector.
    """

    benchmark: str
    spearman: Score
    num_pairs: int
    num_covered: int
    missing: tuple[str, ...]

    @property
    def coverage(self) -> float:
        """Share of the pairs that are covered."""
        return self.num_covered / self.num_pairs


@dataclass(frozen=True)
class WordSimilarityComparison:
    """Two spaces on the pairs that both cover.

    Attributes:
        benchmark: Name of the benchmark.
        num_pairs: Shared pairs.
        first: Spearman's correlation of the first space on them.
        second: Of the second.
        bootstrap: Paired bootstrap of the difference (Efron and Tibshirani 1993): both on the same resampled pairs.
        williams: Williams' test of two dependent correlations (Williams 1959; Steiger 1980, equation 7), on ranks.
    """

    benchmark: str
    num_pairs: int
    first: float
    second: float
    bootstrap: PairedTest
    williams: PairedTest


def score_word_similarity(
    vectors: WordEmbeddings,
    pairs: WordPairs | str | os.PathLike[str],
    *,
    unseen: bool = False,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> WordSimilarity:
    """Correlate cosines with judgements, by Spearman's rank correlation.

    A word is looked up as it is written, else in lower case. Pairs with a word that has no vector are left out, so that
    a small vocabulary can score well on few pairs: read the coverage too.

    Args:
        vectors: Anything with ``words``, ``vectors`` and ``embed``.
        pairs: The benchmark, or what `load_word_pairs` takes.
        unseen: Whether sub-words may give words outside the vocabulary a vector.
        resamples: For the bootstrap interval over pairs.
        seed: Of the bootstrap.
        confidence: Level of the interval.

    Raises:
        DataError: If fewer than four pairs are covered.
    """
    check_confidence(confidence)
    pairs = pairs if isinstance(pairs, WordPairs) else load_word_pairs(pairs)
    cosines, covered, missing = pair_cosines(vectors, pairs, unseen=unseen)
    _need_pairs(pairs, int(covered.sum()), missing)
    human, model = pairs.scores[covered], cosines[covered]
    value = _spearman(human, model)
    drawn = bootstrap(
        np.zeros((len(human), 1)), resamples=resamples, seed=seed, rank_problems=[SpearmanProblem(human, model)]
    )
    replicates = drawn.ranks[: drawn.rank_resamples, 0]
    replicates = replicates[~np.isnan(replicates)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail]) if len(replicates) else (None, None)
    method = f"percentile bootstrap interval, {drawn.rank_resamples:,} resamples of pairs, seed {seed}"
    if has_no_spread(replicates):
        low, high, method = None, None, no_interval(value, 1.0, len(human), unit_name="pairs").method
    spearman = Score(
        "spearman",
        None if np.isnan(value) else value,
        None if low is None else float(low),
        None if high is None else float(high),
        len(human),
        confidence,
        method,
        note=f"{len(human)} of {len(pairs)} pairs of {pairs.name} are covered."
        + (" All cosines or all judgements are equal." if np.isnan(value) else ""),
    )
    return WordSimilarity(pairs.name, spearman, len(pairs), len(human), missing)


def compare_word_similarity(
    first: WordEmbeddings,
    second: WordEmbeddings,
    pairs: WordPairs | str | os.PathLike[str],
    *,
    unseen: bool = False,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> WordSimilarityComparison:
    """Is one space better than another? Both are scored on the pairs that both cover.

    Faruqui et al. (2016) and Rastogi et al. (2015) tell why a difference of two correlations on some hundred pairs
    needs a test.

    Args:
        first: A space.
        second: Another.
        pairs: The benchmark, or what `load_word_pairs` takes.
        unseen: As in `score_word_similarity`.
        resamples: For the paired bootstrap.
        seed: Of the bootstrap.
        confidence: Level of the interval of the difference.

    Raises:
        DataError: If fewer than four pairs are shared, or a correlation is undefined.
    """
    check_confidence(confidence)
    pairs = pairs if isinstance(pairs, WordPairs) else load_word_pairs(pairs)
    cosines_a, covered_a, missing_a = pair_cosines(first, pairs, unseen=unseen)
    cosines_b, covered_b, missing_b = pair_cosines(second, pairs, unseen=unseen)
    shared = covered_a & covered_b
    n = int(shared.sum())
    _need_pairs(pairs, n, tuple(dict.fromkeys(missing_a + missing_b)))
    human, a, b = pairs.scores[shared], cosines_a[shared], cosines_b[shared]
    value_a, value_b, between = _spearman(human, a), _spearman(human, b), _spearman(a, b)
    if np.isnan([value_a, value_b, between]).any():
        raise DataError(f"{pairs.name}: a correlation is undefined, because all cosines or all judgements are equal.")
    drawn = bootstrap(
        np.zeros((n, 1)),
        resamples=resamples,
        seed=seed,
        rank_problems=[SpearmanProblem(human, a), SpearmanProblem(human, b)],
    )
    replicates = drawn.ranks[: drawn.rank_resamples]
    differences = replicates[:, 0] - replicates[:, 1]
    differences = differences[~np.isnan(differences)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    alike = has_no_spread(differences)
    # Two-sided, and never 0: the observed data count as one more resample (Davison and Hinkley 1997, section 4.2).
    beyond = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    p_value = min(1.0, 2 * (beyond + 1) / (len(differences) + 1))
    method = f"paired bootstrap of Spearman's correlation, {len(differences):,} resamples of pairs, seed {seed}"
    paired = PairedTest(
        "paired_bootstrap",
        value_a - value_b,
        p_value,
        None if alike else float(low),
        None if alike else float(high),
        n,
        method,
    )
    return WordSimilarityComparison(
        pairs.name, n, value_a, value_b, paired, williams_test(value_a, value_b, between, n)
    )


def williams_test(first: float, second: float, between: float, n: int) -> PairedTest:
    """Test whether two correlations with the same variable differ (Williams 1959; Steiger 1980, equation 7).

    With r12 and r13 the correlations with the judgements and r23 the one between the two systems,
    ``t = (r12 - r13) sqrt((n - 1)(1 + r23) / (2 |R| (n - 1)/(n - 3) + r^2 (1 - r23)^3))``, where |R| is the determinant
    of the three correlations and r the mean of r12 and r13, follows Student's t with n - 3 degrees of freedom.

    Args:
        first: Correlation r12 of the first system.
        second: Correlation r13 of the second.
        between: Correlation r23 of the two systems.
        n: Number of pairs, at least 4.
    """
    from scipy import stats

    determinant = 1 - first**2 - second**2 - between**2 + 2 * first * second * between
    mean = (first + second) / 2
    spread = 2 * max(determinant, 0.0) * (n - 1) / (n - 3) + mean**2 * (1 - between) ** 3
    if first == second or spread <= 0:
        p_value = 1.0 if first == second else 0.0
    else:
        statistic = (first - second) * np.sqrt((n - 1) * (1 + between) / spread)
        p_value = float(2 * stats.t.sf(abs(statistic), n - 3))
    return PairedTest("williams", first - second, p_value, None, None, n, f"Williams' t on ranks, {n - 3} df")


def pair_cosines(
    vectors: WordEmbeddings, pairs: WordPairs, *, unseen: bool = False
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return the cosine of each pair, whether it is covered, and the words without a vector.

    Args:
        vectors: Anything with ``words``, ``vectors`` and ``embed``.
        pairs: The benchmark.
        unseen: Whether sub-words may give words outside the vocabulary a vector.

    Returns:
        Cosines, float64 (pairs,), 0 where a pair is not covered; covered, bool (pairs,); words, as the file has them.
    """
    lookup = WordLookup(vectors, unseen=unseen)
    forms = {word: lookup.find(word) for word in dict.fromkeys(pairs.first + pairs.second)}
    known = {word: form for word, form in forms.items() if form is not None}
    rows = {word: row for row, word in enumerate(known)}
    units = lookup.unit_vectors(known.values()) if known else np.zeros((0, 1))
    covered = np.asarray([a in rows and b in rows for a, b in zip(pairs.first, pairs.second, strict=True)])
    cosines = np.zeros(len(pairs))
    if covered.any():
        left = [rows[word] for word, use in zip(pairs.first, covered, strict=True) if use]
        right = [rows[word] for word, use in zip(pairs.second, covered, strict=True) if use]
        cosines[covered] = np.einsum("pd,pd->p", units[left], units[right])
    return cosines, covered, tuple(word for word, form in forms.items() if form is None)


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    from scipy.stats import rankdata

    a, b = rankdata(first), rankdata(second)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _need_pairs(pairs: WordPairs, covered: int, missing: tuple[str, ...]) -> None:
    if covered < FEWEST_PAIRS:
        raise DataError(
            f"{covered} of the {len(pairs)} pairs of {pairs.name} are covered, and a correlation needs at least "
            f"{FEWEST_PAIRS}. Words without a vector are, for example, {', '.join(map(repr, missing[:3]))}: are the "
            "vectors of that language?"
        )
