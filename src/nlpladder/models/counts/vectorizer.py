"""Bag-of-words, TF-IDF and hashing vectorisers: scikit-learn's matrices, several times faster.

Each class takes the parameters of scikit-learn's class of the same name, inherits its checks, and returns the
identical matrix: the same columns in the same order, the same entries in the same order, bit for bit. Only the counting
is new: it runs in compiled kernels over UTF-8 bytes and reads any iterable of documents in one pass, chunk by chunk.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn import get_config
from sklearn.base import _fit_context
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction import text as sklearn_text
from sklearn.preprocessing import normalize

from nlpladder.errors import DataError
from nlpladder.models.counts.analysis import plan_analysis
from nlpladder.models.counts.counting import Counts, count_documents, count_features, hash_documents
from nlpladder.models.counts.kernels import rename_columns
from nlpladder.models.counts.state import StateMixin
from nlpladder.models.counts.term_table import TermTable

Int64Array = npt.NDArray[np.int64]
#: From columns to their terms and the terms' ranks among each other.
SpellAndSort = Callable[[Int64Array], tuple[list[Any], Int64Array]]

#: A term of the vocabulary costs about as much to index as this many characters cost scikit-learn to analyse.
CHARACTERS_PER_TERM = 4


class CountVectorizer(StateMixin, sklearn_text.CountVectorizer):
    """Counts of words, word n-grams or character n-grams.

    Takes the parameters of `sklearn.feature_extraction.text.CountVectorizer` and returns the identical matrix.

    A tokeniser, an analyser, an unusual token pattern or an overridden method is honoured; such settings run at
    scikit-learn's speed.
    """

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, raw_documents: Iterable[Any], y: Any = None) -> Any:
        """Learn the vocabulary and return the count matrix.

        Args:
            raw_documents: Documents (or file names, or files: see `input`); a generator will do.
            y: Ignored.

        Returns:
            The CSR matrix of shape (documents, features).

        Raises:
            DataError: No term was found, or none is left after pruning.
        """
        _refuse_single_string(raw_documents)
        self._validate_ngram_range()
        self._warn_for_unused_params()
        self._validate_vocabulary()
        if self.fixed_vocabulary_:
            self._warn_for_upper_case()
            return self._count_known(raw_documents)
        self.vocabulary_, matrix = self._select_features(*self._count_new(raw_documents))
        return matrix

    def transform(self, raw_documents: Iterable[Any]) -> Any:
        """Return the count matrix of shape (documents, features) for the vocabulary that was learnt or given."""
        _refuse_single_string(raw_documents)
        self._check_vocabulary()
        return self._count_known(raw_documents)

    def _warn_for_upper_case(self) -> None:
        """Warn, as scikit-learn does, of terms in the given vocabulary that cannot be met."""
        if self.lowercase and any(any(map(str.isupper, term)) for term in self.vocabulary):
            warnings.warn(
                "Upper case characters found in vocabulary while 'lowercase' is True."
                " These entries will not be matched with any documents",
                stacklevel=3,
            )

    def _count_new(self, documents: Iterable[Any]) -> tuple[Counts, SpellAndSort]:
        """Count all terms, with columns in order of appearance; return the counts, and what spells the columns."""
        analyze = self.build_analyzer()
        analysis = plan_analysis(self)
        spell: SpellAndSort
        if analysis is None:
            counts, vocabulary = count_features(analyze, documents, None)
            spell = functools.partial(_spell_and_sort, list(vocabulary))
        else:
            table = TermTable(analysis.ngrams)
            counts = count_documents(analysis, documents, table, grow=True)
            spell = table.spell_and_sort
        if counts.indices.size == 0:
            raise DataError("empty vocabulary; perhaps the documents only contain stop words")
        return counts, spell

    def _count_known(self, documents: Iterable[Any]) -> Any:
        """Return the count matrix for the columns of `vocabulary_`."""
        analyze = self.build_analyzer()
        analysis = plan_analysis(self)
        vocabulary = self.vocabulary_
        if analysis is not None and self.input == "content":
            few, documents = _take_characters(documents, CHARACTERS_PER_TERM * len(vocabulary))
            if few:
                analysis = None
        if analysis is None:
            counts, _ = count_features(analyze, documents, vocabulary)
        else:
            table = TermTable(analysis.ngrams)
            known = {term: column for term, column in vocabulary.items() if isinstance(term, str)}
            table.insert(list(known), np.fromiter(known.values(), np.int64, len(known)))
            counts = count_documents(analysis, documents, table, grow=False)
        matrix = _csr(counts, len(vocabulary), self.dtype)
        matrix.has_sorted_indices = True
        if self.binary:
            matrix.data.fill(1)
        return matrix

    def _select_features(self, counts: Counts, spell: SpellAndSort) -> tuple[dict[Any, int], Any]:
        """Prune by document frequency and `max_features`, and sort the columns by term.

        Returns:
            The vocabulary in order of appearance, and the matrix, whose rows keep that order too.
        """
        n_documents = counts.indptr.size - 1
        most: Any = self.max_df if isinstance(self.max_df, Integral) else self.max_df * n_documents
        fewest: Any = self.min_df if isinstance(self.min_df, Integral) else self.min_df * n_documents
        if most < fewest:
            raise DataError("max_df corresponds to < documents than min_df")
        document_frequencies = np.bincount(counts.indices)
        kept = (document_frequencies <= most) & (document_frequencies >= fewest)
        if self.max_features is not None and kept.sum() > self.max_features:
            kept = self._most_frequent(counts, spell, kept)
        if not kept.any():
            raise DataError("After pruning, no terms remain. Try a lower min_df or a higher max_df.")
        numbers = np.flatnonzero(kept)
        spelled, ranks = spell(numbers)
        new_columns = np.full(kept.size, -1, np.int64)
        new_columns[numbers] = ranks
        rename_columns(counts.indptr, counts.indices, counts.values, new_columns)
        n_entries = counts.indptr[-1]
        if n_entries < counts.indices.size:
            counts = Counts(counts.indptr, counts.indices[:n_entries].copy(), counts.values[:n_entries].copy())
        matrix = _csr(counts, numbers.size, self.dtype)
        if self.binary:
            matrix.data.fill(1)
        return dict(zip(spelled, ranks.tolist(), strict=True)), matrix

    def _most_frequent(self, counts: Counts, spell: SpellAndSort, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return `kept` reduced to the `max_features` terms that occur most often.

        Ties are broken by `argsort`, which is not stable: to break them as scikit-learn does, the sums must be in
        the same order and of the same type.
        """
        _, ranks = spell(np.arange(kept.size))
        columns = ranks.astype(np.int32)[counts.indices]
        matrix = _csr(Counts(counts.indptr, columns, counts.values), kept.size, self.dtype)
        if self.binary:
            matrix.data.fill(1)
        frequencies = np.asarray(matrix.sum(axis=0)).ravel()  # (features,)
        in_order = np.argsort(ranks)
        kept_in_order = kept[in_order]
        chosen = (-frequencies[kept_in_order]).argsort()[: self.max_features]
        reduced = np.zeros_like(kept)
        reduced[in_order[kept_in_order][chosen]] = True
        return reduced

    def _restore(self, vocabulary: list[str] | None, arrays: Mapping[str, Any]) -> None:
        if vocabulary is None:
            raise DataError(f"{type(self).__name__} needs its vocabulary, a list of terms in column order; got None.")
        self._validate_vocabulary()
        self.vocabulary_ = {term: column for column, term in enumerate(vocabulary)}


class TfidfVectorizer(sklearn_text.TfidfVectorizer, CountVectorizer):
    """Counts weighted by inverse document frequency, with rows scaled to unit length.

    Takes the parameters of `sklearn.feature_extraction.text.TfidfVectorizer` and returns the identical matrix.

    The weighting is scikit-learn's own `TfidfTransformer`: the class above this one in the order of inheritance asks
    ``super()`` for counts, and `CountVectorizer` of this module answers.
    """

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Return ``idf``, of shape (features,), if `use_idf`."""
        if not hasattr(self, "_tfidf"):
            raise NotFittedError(f"{type(self).__name__} has learnt nothing yet: call fit before saving it.")
        return {"idf": np.asarray(self.idf_)} if self.use_idf else {}

    def _restore(self, vocabulary: list[str] | None, arrays: Mapping[str, Any]) -> None:
        super()._restore(vocabulary, arrays)
        n_features = len(self.vocabulary_)
        idf = np.asarray(arrays["idf"]) if self.use_idf else np.empty(n_features)
        if idf.shape != (n_features,):
            raise DataError(f"idf has shape {idf.shape}, but the vocabulary has {n_features} terms.")
        self._tfidf = sklearn_text.TfidfTransformer(
            norm=self.norm, use_idf=self.use_idf, smooth_idf=self.smooth_idf, sublinear_tf=self.sublinear_tf
        )
        self._tfidf.fit(sp.csr_matrix((1, n_features), dtype=np.float64))
        if self.use_idf:
            self._tfidf.idf_ = idf


class HashingVectorizer(  # type: ignore[call-arg]
    StateMixin, sklearn_text.HashingVectorizer, auto_wrap_output_keys=None
):
    """Counts in columns chosen by a hash of the term: no vocabulary, nothing to fit.

    Takes the parameters of `sklearn.feature_extraction.text.HashingVectorizer` and returns the identical matrix.
    """

    def transform(self, X: Iterable[Any]) -> Any:
        """Return the CSR matrix of shape (documents, n_features).

        Args:
            X: Documents (or file names, or files: see `input`); a generator will do.

        Raises:
            DataError: There are no documents.
        """
        _refuse_single_string(X)
        self._validate_ngram_range()
        self.build_analyzer()  # checks the stop words and the settings
        analysis = plan_analysis(self, strict=True)
        kind = np.dtype(self.dtype)
        if analysis is None or kind.kind not in "fi":
            try:
                return super().transform(X)
            except StopIteration:  # what scikit-learn raises for no documents
                raise DataError("Cannot vectorize empty sequence.") from None
        counts = hash_documents(analysis, X, self.n_features, self.alternate_sign)
        if counts.indptr.size == 1:
            raise DataError("Cannot vectorize empty sequence.")
        matrix = _csr(counts, self.n_features, self.dtype)
        matrix.has_canonical_format = True
        if self.binary:
            matrix.data.fill(1)
        if self.norm is not None:
            matrix = normalize(matrix, norm=self.norm, copy=False)
        return matrix


def _refuse_single_string(documents: Any) -> None:
    if isinstance(documents, str):
        raise DataError("Iterable over raw text documents expected, string object received.")


def _take_characters(documents: Iterable[Any], wanted: int) -> tuple[bool, Iterable[Any]]:
    """Say whether all `documents` together have fewer characters than `wanted`, and return them, not used up."""
    iterator = iter(documents)
    taken: list[Any] = []
    for document in iterator:
        taken.append(document)
        wanted -= len(document) if isinstance(document, str | bytes) else 1
        if wanted <= 0:
            return False, itertools.chain(taken, iterator)
    return True, taken


def _spell_and_sort(features: list[Any], columns: Int64Array) -> tuple[list[Any], Int64Array]:
    """Return the features of `columns`, and their ranks among each other."""
    wanted = [features[column] for column in columns.tolist()]
    rank_of_feature = {feature: rank for rank, feature in enumerate(sorted(wanted))}
    return wanted, np.fromiter(map(rank_of_feature.__getitem__, wanted), np.int64, len(wanted))


def _csr(counts: Counts, n_columns: int, dtype: Any) -> Any:
    """Return the counts as the kind of sparse container that scikit-learn is set to return."""
    as_array = get_config().get("sparse_interface", "spmatrix") == "sparray"
    container = sp.csr_array if as_array else sp.csr_matrix
    index_type = np.int32 if counts.indptr[-1] <= np.iinfo(np.int32).max else np.int64
    indices = counts.indices.astype(index_type, copy=False)
    indptr = counts.indptr.astype(index_type)
    shape = (indptr.size - 1, n_columns)
    return container((counts.values, indices, indptr), shape=shape, dtype=dtype)
