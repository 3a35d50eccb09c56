"""What the tiny ladder trains: four small climbs on the built-in worlds, as data.

Sizes are chosen so that all of it takes less than two minutes on two cores; what the models reach is modest, and the
tables say so. `make ladder` and the recipes train in earnest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlpladder.ladder import TaskName
    from nlpladder.tasks.base import ClimbTask

_STORIES_TOKENIZER = {"scheme": "byte_bpe", "vocab_size": 600}
_PHRASEBOOK_TOKENIZER = {"vocab_size": 800}
#: Validated once, at the end: decoding for BLEU after each epoch would take a third of the time.
_TRANSLATION: dict[str, Any] = {
    "optimizer": "muon",
    "learning_rate": 4e-3,
    "batch_tokens": 1024,
    "select_best_on": "none",
    "evaluate_every": 100,
}


@dataclass(frozen=True, kw_only=True)
class TinyClimb:
    """One climb of the tiny ladder.

    Attributes:
        folder: Its folder below the output folder.
        title: What is climbed, for the progress line.
        task: Of the rungs, as in `nlpladder.ladder.Rung`.
        dataset: A world with its sizes.
        rungs: Names and seconds of each on one core, which the estimate of what is left is made of; ``encoder``
            stands for the pretraining that the BERT rungs share.
        settings: By rung name, what differs from its defaults: the fields of `RungSettings`.
        pretraining: Fields of `PretrainingOptions`, for the encoder.
        pretraining_training: Fields of `TrainingOptions`, for the encoder.
    """

    folder: str
    title: str
    task: TaskName
    dataset: str
    rungs: Mapping[str, float]
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pretraining: Mapping[str, Any] = field(default_factory=dict)
    pretraining_training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Return what all of its rungs take."""
        return sum(self.rungs.values())


CLIMBS: tuple[TinyClimb, ...] = (
    TinyClimb(
        folder="reviews",
        title="classification of film reviews",
        task="classification",
        dataset="world:reviews?train=1500&validation=300&test=1000&unlabeled=7500",
        rungs={
            "majority": 5.0,
            "naive_bayes": 1.0,
            "tfidf_logistic": 1.0,
            "tfidf_bigram_logistic": 1.0,
            "bilstm": 9.0,
            "bert": 15.0,
            "encoder": 46.0,
        },
        settings={
            "bilstm": {"training": {"learning_rate": 5e-3, "num_train_epochs": 6, "max_length": 64}},
            "bert": {"training": {"learning_rate": 7e-4, "num_train_epochs": 8, "max_length": 64}},
        },
        pretraining={"size": "tiny", "vocab_size": 1500, "mask_probability": 0.3},
        pretraining_training={"learning_rate": 2e-3, "num_train_epochs": 5, "batch_size": 32, "max_length": 64},
    ),
    TinyClimb(
        folder="words",
        title="word vectors from short stories",
        task="embeddings",
        dataset="world:stories?train=4000",
        rungs={"lsa": 3.0, "glove": 2.0, "skipgram": 3.0},
        settings={},
    ),
    TinyClimb(
        folder="stories",
        title="language models of short stories",
        task="language_modeling",
        dataset="world:stories?train=2000&validation=200&test=500",
        rungs={
            "unigram": 0.5,
            "bigram": 0.5,
            "trigram": 0.5,
            "five_gram": 0.5,
            "lstm_lm": 13.0,
            "transformer_lm": 16.0,
        },
        settings={
            "lstm_lm": {
                "model": {"embedding_size": 128, "hidden_size": 192, "num_hidden_layers": 1,
                          "tie_word_embeddings": False},
                "tokenizer": _STORIES_TOKENIZER,
                "training": {"learning_rate": 8e-3, "num_train_epochs": 2.5},
            },
            "transformer_lm": {
                "model": {"hidden_size": 128, "num_hidden_layers": 2, "intermediate_size": 256, "dropout": 0.0},
                "tokenizer": _STORIES_TOKENIZER,
                "training": {"optimizer": "muon", "learning_rate": 4e-3, "num_train_epochs": 2},
            },
        },
    ),
    TinyClimb(
        folder="phrasebook",
        title="translation of a phrase book, English to French",
        task="translation",
        dataset="world:phrasebook?train=2000&validation=100&test=300&compositional=100",
        rungs={"seq2seq_bahdanau": 24.0, "transformer_mt": 29.0},
        settings={
            "seq2seq_bahdanau": {
                "model": {"embedding_size": 128, "hidden_size": 128, "dropout": 0.1},
                "tokenizer": _PHRASEBOOK_TOKENIZER,
                # Its steps are slow, one token after the other: smaller batches and a large rate teach it in fewer.
                "training": {**_TRANSLATION, "optimizer": "adamw", "learning_rate": 1e-2, "batch_tokens": 512,
                             "num_train_epochs": 6},
            },
            "transformer_mt": {
                "model": {"num_hidden_layers": 2, "num_decoder_layers": 1, "dropout": 0.0},
                "tokenizer": _PHRASEBOOK_TOKENIZER,
                "training": {**_TRANSLATION, "num_train_epochs": 8},
            },
        },
    ),
)  # fmt: skip


def build_task(climb: TinyClimb) -> ClimbTask:
    """Open the world of `climb` for its task.

    Args:
        climb: One of `CLIMBS`.
    """
    return _BUILDERS[climb.task](climb)


def _classification(climb: TinyClimb) -> ClimbTask:
    from nlpladder.data.options import DataOptions
    from nlpladder.tasks.classification import ClassificationTask

    return ClassificationTask(DataOptions(dataset=climb.dataset).load())


def _embeddings(climb: TinyClimb) -> ClimbTask:
    from nlpladder.data.corpora import CorpusOptions
    from nlpladder.tasks.embeddings import EmbeddingsTask
    from nlpladder.train_embeddings import EmbeddingData
    from tiny_benchmark import stories_benchmark

    options = CorpusOptions(dataset=climb.dataset, tokenizer="regex", lowercase=True)
    return EmbeddingsTask(EmbeddingData.open(options), stories_benchmark(), lambda line: None)


def _language_modeling(climb: TinyClimb) -> ClimbTask:
    from nlpladder.data.corpora import CorpusOptions, load_corpus
    from nlpladder.data.running_text import load_running_text
    from nlpladder.tasks.language_modeling import LanguageModelingTask

    options = CorpusOptions(dataset=climb.dataset, tokenizer="regex")
    shares: dict[str, Any] = {"validation_fraction": 0.1, "test_fraction": 0.1, "max_eval": None}
    corpus = load_corpus(options, **shares)
    return LanguageModelingTask(corpus, lambda: load_running_text(options, unit="line", **shares))


def _translation(climb: TinyClimb) -> ClimbTask:
    from nlpladder.data.parallel_options import ParallelOptions
    from nlpladder.tasks.translation import TranslationTask

    return TranslationTask(ParallelOptions(dataset=climb.dataset).load())


_BUILDERS: Mapping[str, Callable[[TinyClimb], ClimbTask]] = {
    "classification": _classification,
    "embeddings": _embeddings,
    "language_modeling": _language_modeling,
    "translation": _translation,
}
