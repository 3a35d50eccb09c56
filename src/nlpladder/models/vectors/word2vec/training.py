"""`train_word2vec` and `extend`: skip-gram, CBOW and fastText, several times as fast as the programs they reproduce.

With one worker, and so with ``deterministic=True``, a seed fixes every byte: the random numbers depend on seed, epoch
and slice only, and a training that goes on after an epoch ends as if never interrupted. (On one kind of processor:
another may round sums differently.)
"""

from __future__ import annotations

import numpy as np

from nlpladder.errors import ConfigError, RunError
from nlpladder.models.vectors.word2vec.hierarchical_softmax import HuffmanTree
from nlpladder.models.vectors.word2vec.options import Word2VecOptions
from nlpladder.models.vectors.word2vec.phrases import join_phrases
from nlpladder.models.vectors.word2vec.trainer import Checkpoint, Report, Word2VecTrainer
from nlpladder.models.vectors.word2vec.training_corpus import choose_words, corpus_fingerprint
from nlpladder.models.vectors.word2vec.training_state import STRUCTURE, TrainingState
from nlpladder.text.encoding import EncodedCorpus


def train_word2vec(
    corpus: EncodedCorpus,
    options: Word2VecOptions,
    *,
    state: TrainingState | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Report | None = None,
) -> TrainingState:
    """Learn word vectors (Mikolov et al. 2013a, 2013b; with sub-words Bojanowski et al. 2017).

    Args:
        corpus: The text; its ids may be memory-mapped and larger than memory.
        options: The settings.
        state: A state of the same training, to go on after its last whole epoch; it is changed.
        checkpoint: Called with the state after each epoch.
        progress: Called about once a second.

    Returns:
        The state after the last epoch.

    Raises:
        DataError: if the corpus is empty or less than two words are frequent enough.
        ConfigError: if `state` was made with options that decide the shape of the model and differ.
        RunError: if `state` was trained on another text.
        ModelError: if the numbers overflow because the learning rate is too high.
    """
    fingerprint = corpus_fingerprint(corpus)
    if state is not None:
        _check_same_training(state, options, fingerprint)
    corpus = join_phrases(corpus, options)
    if state is None:
        state = _enlarged(None, corpus, options, fingerprint)
    state.options = options
    Word2VecTrainer(state, corpus, progress).run(checkpoint)
    return state


def extend(
    state: TrainingState,
    corpus: EncodedCorpus,
    options: Word2VecOptions,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Report | None = None,
) -> TrainingState:
    """Continue a training on new text: frequent new words join the vocabulary, old ones keep vectors and numbers.

    Counts are added up, so negatives follow all texts; words are skipped by their frequency in the new text. With
    hierarchical softmax, the new words get a tree beside the old one. If this call is interrupted, go on from its last
    checkpoint with `train_word2vec`.

    Args:
        state: A state of an earlier training; it is not changed.
        corpus: The new text.
        options: The settings for the new text; those that decide the shape of the model must be the same.
        checkpoint: As in `train_word2vec`.
        progress: As in `train_word2vec`.

    Returns:
        A new state, trained `options.epochs` times on the new text.

    Raises:
        DataError: if the corpus is empty or has no word that can be learnt.
        ConfigError: if an option that decides the shape of the model differs.
        ModelError: as `train_word2vec`.
    """
    _check_structure(state, options)
    fingerprint = corpus_fingerprint(corpus)
    corpus = join_phrases(corpus, options)
    larger = _enlarged(state, corpus, options, fingerprint)
    Word2VecTrainer(larger, corpus, progress).run(checkpoint)
    return larger


def _check_structure(state: TrainingState, options: Word2VecOptions) -> None:
    """Refuse options under which the arrays would have another shape or meaning."""
    for name in STRUCTURE:
        before, now = getattr(state.options, name), getattr(options, name)
        if before != now:
            raise ConfigError(
                f"The training began with {name} {before} and cannot go on with {now}. Use {before}, or start anew."
            )


def _check_same_training(state: TrainingState, options: Word2VecOptions, fingerprint: str) -> None:
    """Refuse to go on with another model or another text."""
    _check_structure(state, options)
    if state.corpus != fingerprint:
        raise RunError(
            f"The state was trained on another text ({state.corpus}) than the one given ({fingerprint}). To continue "
            "on new text, use extend()."
        )


def _enlarged(
    old: TrainingState | None, corpus: EncodedCorpus, options: Word2VecOptions, fingerprint: str
) -> TrainingState:
    """Return a state with the words of `old`, if any, and those of the corpus."""
    from nlpladder.models.vectors.subwords import hash_ngrams
    from nlpladder.models.vectors.word2vec.row_kernels import padded_rows

    size = options.vector_size
    old_words = [] if old is None else old.words
    known = {word: number for number, word in enumerate(old_words)}
    chosen = choose_words(corpus, options, known=known)
    words = old_words + [corpus.words[word] for word in chosen.tolist()]
    counts = np.concatenate([[] if old is None else old.counts, corpus.counts[chosen]]).astype(np.int64)
    if old is not None:
        numbers = np.fromiter((known.get(word, -1) for word in corpus.words), dtype=np.int64, count=len(corpus.words))
        counts[numbers[numbers >= 0]] += corpus.counts[numbers >= 0]

    used_buckets = np.empty(0, dtype=np.int64)
    if options.subwords:
        _, buckets = hash_ngrams(words, min_n=options.min_n, max_n=options.max_n, num_buckets=options.num_buckets)
        is_used = np.zeros(options.num_buckets, dtype=bool)
        is_used[buckets] = True
        used_buckets = np.flatnonzero(is_used)

    # word2vec.c draws from ±1/2 over the vector size, fastText from ±1 over it.
    bound = (1.0 if options.subwords else 0.5) / size
    generator = np.random.default_rng([options.seed, len(old_words)])
    inputs = padded_rows(len(words) + len(used_buckets), size)
    for begin in range(0, len(inputs), 1 << 14):
        rows = inputs[begin : begin + (1 << 14), :size]
        rows[:] = generator.random(rows.shape, dtype=np.float32) * np.float32(2 * bound) - np.float32(bound)
    tree = None
    if options.loss == "hierarchical_softmax":
        if old is None or old.tree is None:
            tree = HuffmanTree.from_counts(counts)
        else:
            tree = old.tree.extended(corpus.counts[chosen])
    outputs = padded_rows(len(words) - (tree is not None), size)
    if old is not None:
        inputs[: len(old_words)] = old.inputs[: len(old_words)]
        inputs[len(words) + np.searchsorted(used_buckets, old.used_buckets)] = old.inputs[len(old_words) :]
        outputs[: len(old.outputs)] = old.outputs
    return TrainingState(
        options=options,
        words=words,
        counts=counts,
        inputs=inputs,
        outputs=outputs,
        used_buckets=used_buckets,
        tree=tree,
        corpus=fingerprint,
        words_trained=0 if old is None else old.words_trained,
        extensions=0 if old is None else old.extensions + 1,
    )
