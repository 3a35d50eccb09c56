"""`Word2VecTrainer`: the epochs of a training, by Hogwild workers (Recht et al. 2011).

Each thread goes through a slice of the corpus of its own, and all write to the same vectors without locks. The compiled
code lets go of Python's lock, so plain threads suffice; between pieces of text they report, stop, and look for numbers
that overflowed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError, ModelError
from nlpladder.models.vectors.word2vec.negative_sampling import alias_table, sigmoid_table
from nlpladder.models.vectors.word2vec.private_rows import PrivateRows
from nlpladder.models.vectors.word2vec.training_corpus import PIECE, keep_thresholds, pieces, slice_borders
from nlpladder.models.vectors.word2vec.training_state import Progress, TrainingState
from nlpladder.text.encoding import EncodedCorpus

Checkpoint = Callable[[TrainingState], None]
Report = Callable[[Progress], None]
#: Seconds between two reports.
_REPORT_EVERY = 1.0
#: Rows, those of the most frequent words, that are looked at for broken numbers after each piece.
_WATCHED_ROWS = 1000
#: Tokens after which workers exchange what they keep for themselves.
_EXCHANGED_PIECE = 1 << 14


def available_threads() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Word2VecTrainer:
    """The tables that do not change while a state is trained on a corpus, and the epochs over it.

    Args:
        state: What is trained, in place.
        corpus: The text, with phrases joined.
        progress: Called about once a second, or None.

    Raises:
        DataError: if no word of the text is in the vocabulary.
    """

    def __init__(self, state: TrainingState, corpus: EncodedCorpus, progress: Report | None) -> None:
        self.state, self.options, self.corpus, self.progress = state, state.options, corpus, progress
        options = self.options
        known = {word: number for number, word in enumerate(state.words)}
        self.numbers = np.fromiter((known.get(word, -1) for word in corpus.words), np.int32, count=len(corpus.words))
        counts = np.zeros(len(state.words), dtype=np.int64)
        counts[self.numbers[self.numbers >= 0]] = corpus.counts[self.numbers >= 0]
        if not counts.any():
            raise DataError(
                f"None of the {len(corpus.words)} different words here is in the vocabulary of {len(state.words)}"
                f", and none occurs {options.min_count} times. Choose a smaller min_count, or tokenise as before."
            )
        self.keep = keep_thresholds(counts, options.subsample)
        self.row_starts, self.rows = state.rows()
        self.negative_table = np.zeros(0, dtype=np.uint64)
        num_threads = 1 if options.deterministic else (options.num_threads or available_threads())
        self.paths: tuple[Any, Any, Any] = (np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
        self.private: PrivateRows | None = None
        if state.tree is None:
            self.negative_table = alias_table(state.counts, options.ns_exponent)
            self.most_rows = options.negative + 1
        else:
            self.paths = starts, nodes, _ = state.tree.paths()
            self.most_rows = int(np.diff(starts).max())
            if num_threads > 1:
                traffic = np.bincount(nodes, weights=np.repeat(counts, np.diff(starts)), minlength=len(state.outputs))
                self.private = PrivateRows(state.outputs, traffic, num_threads)
                state.outputs = self.private.rows[: len(state.outputs)]
        self.outputs = state.outputs if self.private is None else self.private.rows
        self.sigmoid = sigmoid_table()
        self.borders = slice_borders(corpus.ids, num_threads)
        self.done = np.zeros((num_threads, 8), dtype=np.int64)  # one cache line for each worker
        self.stop = threading.Event()
        self.tokens_before = state.finished_epochs * corpus.num_tokens

    def run(self, checkpoint: Checkpoint | None) -> None:
        """Train the epochs that are left.

        Args:
            checkpoint: Called with the state after each epoch, or None.

        Raises:
            ModelError: if the numbers overflow.
        """
        state, epochs = self.state, self.options.epochs
        if state.finished_epochs >= epochs:
            return
        self._compile()
        self.begin = time.perf_counter()
        with ThreadPoolExecutor(len(self.done)) as pool:
            for epoch in range(state.finished_epochs, epochs):
                futures = [pool.submit(self._train_slice, epoch, number) for number in range(len(self.done))]
                try:
                    while wait(futures, timeout=_REPORT_EVERY, return_when=FIRST_EXCEPTION).not_done:
                        self._report(epoch)
                        if any(future.done() and future.exception() for future in futures):
                            break
                finally:
                    if not all(future.done() for future in futures):
                        self.stop.set()
                for future in futures:
                    future.result()
                self._check_numbers(len(state.inputs), len(state.outputs))
                state.finished_epochs = epoch + 1
                state.words_trained += self.corpus.num_tokens
                self._report(epoch)
                if checkpoint is not None:
                    checkpoint(state)

    def learning_rate(self, share: float) -> float:
        """Return the learning rate after a share of all epochs."""
        first, last = self.options.first_learning_rate, self.options.min_learning_rate
        return first + (last - first) * share

    def _train_slice(self, epoch: int, number: int) -> None:
        """Train one epoch over one slice."""
        options, epochs = self.options, self.options.epochs
        begin, end = self.borders[number : number + 2]
        entropy = np.random.SeedSequence([options.seed, self.state.extensions, epoch, number])
        random = entropy.generate_state(1, np.uint64)
        scratch = self._scratch()
        paths, size = self.paths, PIECE
        if self.private is not None:
            paths, size = (paths[0], self.private.renumbered(paths[1], number), paths[2]), _EXCHANGED_PIECE
            self.private.fetch(number)
        for position, piece in pieces(self.corpus.ids, begin, end, size):
            if self.stop.is_set():
                return
            shares = [(epoch + (place - begin) / (end - begin)) / epochs for place in (position, position + piece.size)]
            rates = self.learning_rate(shares[0]), self.learning_rate(shares[1])
            self._call(piece, paths, scratch, *rates, random, self.done[number])
            if self.private is not None:
                self.private.exchange(number)
            try:
                self._check_numbers(_WATCHED_ROWS, _WATCHED_ROWS)
            except ModelError:
                self.stop.set()
                raise

    def _scratch(self) -> npt.NDArray[np.float32]:
        """Return a worker's room for three vectors."""
        from nlpladder.models.vectors.word2vec.row_kernels import padded_rows

        return padded_rows(3, self.options.vector_size)

    def _call(
        self,
        piece: npt.NDArray[np.int32],
        paths: tuple[Any, Any, Any],
        scratch: Any,
        first_rate: float,
        last_rate: float,
        random: Any,
        done: Any,
    ) -> None:
        """Call the kernel."""
        from nlpladder.models.vectors.word2vec.kernels import train_chunk

        options = self.options
        train_chunk(
            piece,
            self.numbers,
            self.keep,
            self.state.inputs,
            self.row_starts,
            self.rows,
            self.outputs,
            self.negative_table,
            *paths,
            self.sigmoid,
            scratch,
            options.architecture == "skipgram",
            self.state.tree is not None,
            options.window,
            options.negative,
            options.max_sentence_length,
            self.most_rows,
            first_rate,
            last_rate,
            random,
            done,
        )

    def _compile(self) -> None:
        """Compile or load the kernel before the clock starts, by training on no text."""
        if self.progress is not None:
            epoch = self.state.finished_epochs + 1
            total = self.options.epochs * self.corpus.num_tokens
            rate = self.learning_rate(self.state.finished_epochs / self.options.epochs)
            self.progress(Progress("compiling", epoch, self.options.epochs, self.tokens_before, total, 0.0, None, rate))
        nothing = np.zeros(0, dtype=np.int32)
        self._call(nothing, self.paths, self._scratch(), 0.0, 0.0, np.zeros(1, np.uint64), np.zeros(8, np.int64))
        self._check_numbers(1, 1)

    def _report(self, epoch: int) -> None:
        """Tell how far the training is."""
        if self.progress is None:
            return
        read = int(self.done[:, 0].sum())
        total = self.options.epochs * self.corpus.num_tokens
        speed = read / max(time.perf_counter() - self.begin, 1e-9)
        done = self.tokens_before + read
        remaining = (total - done) / speed if speed else None
        rate = self.learning_rate(done / total)
        self.progress(Progress("training", epoch + 1, self.options.epochs, done, total, speed, remaining, rate))

    def _check_numbers(self, num_inputs: int, num_outputs: int) -> None:
        """Stop if numbers have overflowed."""
        from nlpladder.models.vectors.word2vec.kernels import first_broken_row

        state = self.state
        for matrix, num_rows in ((state.inputs, num_inputs), (state.outputs, num_outputs)):
            if first_broken_row(matrix, min(num_rows, len(matrix))) >= 0:
                raise ModelError(
                    f"The vectors overflowed in epoch {state.finished_epochs + 1}: the learning rate "
                    f"{self.options.first_learning_rate} is too high for this text. The usual ones are 0.025 "
                    "(skipgram) and 0.05 (cbow)."
                )
