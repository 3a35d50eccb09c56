"""How each word-vector rung is trained: from a corpus and options to `WordVectors`, with checkpoints between epochs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.training.embedding_options import SavingOptions
from nlpladder.training.run_folder import RunFolder

if TYPE_CHECKING:
    from nlpladder.models.vectors.word_vectors import WordVectors
    from nlpladder.train_embeddings import EmbeddingData

STATE_FOLDER = "training_state"
#: Seconds between two lines of progress.
_SAY_EVERY = 5.0


def _train_lsa(
    data: EmbeddingData, options: Any, folder: RunFolder, saving: SavingOptions, say: Callable[[str], None]
) -> tuple[WordVectors, list[str]]:
    from nlpladder.models.counts.latent_semantic_analysis import train_lsa
    from nlpladder.models.vectors.word_vectors import WordVectors

    found = train_lsa(data.encoded(), options)
    return WordVectors(found.words, found.vectors, counts=found.counts), list(data.encoded().notes)


def _load(
    data: EmbeddingData, options: Any, folder: RunFolder, saving: SavingOptions, say: Callable[[str], None]
) -> tuple[WordVectors, list[str]]:
    from nlpladder.models.vectors.word_vectors import WordVectors

    vectors = WordVectors.open(options["path"])
    return vectors, list(vectors.notes)


def _train_word2vec(
    data: EmbeddingData, options: Any, folder: RunFolder, saving: SavingOptions, say: Callable[[str], None]
) -> tuple[WordVectors, list[str]]:
    from nlpladder.models.vectors.unseen_words import SubwordVectors
    from nlpladder.models.vectors.word2vec.training import extend, train_word2vec
    from nlpladder.models.vectors.word2vec.training_state import TrainingState
    from nlpladder.models.vectors.word_vectors import WordVectors

    corpus, kept = data.encoded(), folder.checkpoints / STATE_FOLDER
    notes = list(corpus.notes)
    hooks: dict[str, Any] = {"checkpoint": lambda state: state.save(kept), "progress": _reporter(say)}
    if kept.is_dir():
        state = TrainingState.load(kept)
        notes.append(_went_on(state.finished_epochs))
        state = train_word2vec(corpus, options, state=state, **hooks)
    elif saving.continue_from is not None:
        state = extend(TrainingState.load(Path(saving.continue_from) / STATE_FOLDER), corpus, options, **hooks)
    else:
        state = train_word2vec(corpus, options, **hooks)
    if saving.keep_state:
        state.save(folder.path / STATE_FOLDER, overwrite=True)
    subwords = None
    if options.subwords:
        subwords = SubwordVectors(
            np.ascontiguousarray(state.ngram_vectors), min_n=options.min_n, max_n=options.max_n,
            num_buckets=options.num_buckets, buckets=state.used_buckets,
        )  # fmt: skip
    return WordVectors(state.words, state.word_vectors(), counts=state.counts, subwords=subwords), notes


def _train_glove(
    data: EmbeddingData, options: Any, folder: RunFolder, saving: SavingOptions, say: Callable[[str], None]
) -> tuple[WordVectors, list[str]]:
    from nlpladder.models.vectors.glove.cooccurrence import count_cooccurrences
    from nlpladder.models.vectors.glove.training import extend_state, train_glove
    from nlpladder.models.vectors.glove.training_state import GloveState
    from nlpladder.models.vectors.word_vectors import WordVectors

    corpus, kept = data.encoded(), folder.checkpoints / STATE_FOLDER
    notes = list(corpus.notes)
    counted = folder.checkpoints / "cooccurrences"
    shutil.rmtree(counted, ignore_errors=True)  # of an interrupted start
    earlier = None if saving.continue_from is None else GloveState.load(Path(saving.continue_from) / STATE_FOLDER)
    folder.checkpoints.mkdir(parents=True, exist_ok=True)
    say("counting co-occurrences (the first time on a machine some seconds more, for compilation)")
    cooccurrences = count_cooccurrences(
        corpus, options, folder=counted, first_words=() if earlier is None else earlier.words
    )
    say(f"{cooccurrences.num_records:,} co-occurrences of {len(cooccurrences.words):,} words")
    state = None if earlier is None else extend_state(earlier, cooccurrences, options)
    if kept.is_dir():
        state = GloveState.load(kept)
        notes.append(_went_on(state.finished_epochs))
    state = train_glove(
        cooccurrences,
        options,
        state=state,
        checkpoint=lambda state: state.save(kept),
        progress=lambda done: say(str(done)),
    )
    if saving.keep_state:
        state.save(folder.path / STATE_FOLDER)
    if state.num_skipped:
        notes.append(f"{state.num_skipped:,} updates were left out because their error was no finite number.")
    return WordVectors(state.words, state.vectors(), counts=state.counts), notes


def _went_on(epochs: int) -> str:
    return f"Went on after epoch {epochs}, where an earlier start had stopped; the seconds are those of the last part."


def _reporter(say: Callable[[str], None]) -> Callable[[Any], None]:
    """Return a callback that says where the training stands, every few seconds."""
    last = [time.perf_counter() - _SAY_EVERY]

    def report(progress: Any) -> None:
        if time.perf_counter() - last[0] >= _SAY_EVERY:
            last[0] = time.perf_counter()
            say(str(progress))

    return report


#: By the function or class that `Rung.model` names.
TRAINERS: dict[str, Callable[..., tuple[Any, list[str]]]] = {
    "train_lsa": _train_lsa,
    "WordVectors": _load,
    "train_word2vec": _train_word2vec,
    "train_glove": _train_glove,
}
