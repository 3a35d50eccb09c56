"""The rungs as data. The README table, the climb, the recipes and a test read this tuple.

Adding a rung: one family in ``models/``, one entry here, one recipe config, one test file (see CONTRIBUTING.md).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nlpladder.errors import ConfigError, did_you_mean

#: How a rung is trained: counted and solved, trained from random weights, or fine-tuned from a pretrained encoder.
Kind = Literal["classic", "neural", "pretrained"]
#: What a climb can be about.
TaskName = Literal["classification", "embeddings", "language_modeling"]


@dataclass(frozen=True)
class Rung:
    """One step of the ladder.

    Attributes:
        name: What ``--rungs`` takes.
        title: Shown in tables.
        idea: What this rung can do that the one below cannot, in one line.
        task: The job it is for.
        kind: How it is trained.
        model: ``module:class`` of the model (for ``neural`` the model, its config is found from it).
        model_settings: Defaults of the model's constructor or config.
        training: Defaults that differ from `TrainingOptions`, for rungs with gradients.
        tokenizer: Settings of `train_subword_tokenizer`, for ``neural`` rungs.
        recipe: The recipe that trains it alone.
        paper: Where it comes from.
        year: Of the paper.
        typical_seconds: Training on 2,500 short texts on two cores; only for the estimate of what is left.
        deterministic: The seed changes nothing, so one run serves all seeds.
        streams: Can train on a stream that is larger than memory.
    """

    name: str
    title: str
    idea: str
    task: TaskName
    kind: Kind
    model: str
    recipe: str
    paper: str
    year: int
    model_settings: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    typical_seconds: float = 1.0
    deterministic: bool = False
    streams: bool = False

    def load_class(self) -> Any:
        """Import and return the model's class."""
        module, _, name = self.model.partition(":")
        return getattr(importlib.import_module(module), name)


_TRAIN_ANY = "recipes/train_text_classifier.py"
_CLIMB = "recipes/climb_ladder.py"
_NGRAM = "recipes/train_ngram_lm.py"
# Punctuation marks are words too ("?" is evidence), and "don't" stays whole.
_WORDS_AND_MARKS = r"(?u)\w+(?:['’]\w+)*|[^\w\s]"
_TFIDF = {"ngram_range": (1, 1), "sublinear_tf": True, "token_pattern": _WORDS_AND_MARKS}
_WORDS = {"scheme": "word", "vocab_size": 20_000, "lowercase": True, "min_frequency": 2}

LADDER: tuple[Rung, ...] = (
    Rung(
        name="majority",
        title="majority class",
        idea="knows how often each label occurs, and nothing of the text",
        task="classification",
        kind="classic",
        model="nlpladder.models.counts.majority:MajorityClassifier",
        recipe=_TRAIN_ANY,
        paper="the floor of every comparison",
        year=0,
        typical_seconds=0.05,
        deterministic=True,
    ),
    Rung(
        name="naive_bayes",
        title="multinomial naive Bayes, word counts",
        idea="words vote, each independently of the others",
        task="classification",
        kind="classic",
        model="nlpladder.models.counts.naive_bayes:NaiveBayesClassifier",
        model_settings={"variant": "multinomial", "vectorizer": {"token_pattern": _WORDS_AND_MARKS}},
        recipe=_TRAIN_ANY,
        paper="McCallum & Nigam, A comparison of event models for naive Bayes text classification",
        year=1998,
        typical_seconds=0.1,
        deterministic=True,
    ),
    Rung(
        name="complement_naive_bayes",
        title="complement naive Bayes, word counts",
        idea="a word counts by how little the other classes use it: robust to unequal classes",
        task="classification",
        kind="classic",
        model="nlpladder.models.counts.naive_bayes:NaiveBayesClassifier",
        model_settings={"variant": "complement", "vectorizer": {"token_pattern": _WORDS_AND_MARKS}},
        recipe=_TRAIN_ANY,
        paper="Rennie et al., Tackling the poor assumptions of naive Bayes text classifiers",
        year=2003,
        typical_seconds=0.1,
        deterministic=True,
    ),
    Rung(
        name="tfidf_logistic",
        title="TF-IDF words + logistic regression",
        idea="learns how much each word weighs, given the others",
        task="classification",
        kind="classic",
        model="nlpladder.models.counts.linear:LinearTextClassifier",
        model_settings={"solver": "logistic", "vectorizer": _TFIDF},
        recipe=_TRAIN_ANY,
        paper="Spärck Jones, A statistical interpretation of term specificity",
        year=1972,
        typical_seconds=0.5,
        deterministic=True,
    ),
    Rung(
        name="tfidf_bigram_logistic",
        title="TF-IDF words and bigrams + logistic regression",
        idea="sees neighbouring words: 'not good' is a feature of its own",
        task="classification",
        kind="classic",
        model="nlpladder.models.counts.linear:LinearTextClassifier",
        model_settings={"solver": "logistic", "vectorizer": {**_TFIDF, "ngram_range": (1, 2)}},
        recipe=_TRAIN_ANY,
        paper="Wang & Manning, Baselines and bigrams",
        year=2012,
        typical_seconds=1.0,
        deterministic=True,
    ),
    Rung(
        name="tfidf_bigram_svm",
        title="TF-IDF words and bigrams + linear SVM",
        idea="the same features, a margin instead of a likelihood; probabilities by Platt's sigmoid",
        task="classification",
        kind="classic",
        model="nlpladder.models.counts.linear:LinearTextClassifier",
        model_settings={
            "solver": "svm",
            "c_grid": (0.03, 0.1, 0.3, 1.0, 3.0),
            "vectorizer": {**_TFIDF, "ngram_range": (1, 2)},
        },
        recipe=_TRAIN_ANY,
        paper="Joachims, Text categorization with support vector machines",
        year=1998,
        typical_seconds=1.0,
        deterministic=True,
    ),
    Rung(
        name="mean_vectors",
        title="averaged word vectors + logistic regression",
        idea="similar words share what they learn; order is gone again",
        task="classification",
        kind="classic",
        model="nlpladder.models.vectors.mean_vectors:MeanVectorsClassifier",
        recipe=_TRAIN_ANY,
        paper="Mikolov et al., Efficient estimation of word representations in vector space",
        year=2013,
        typical_seconds=3.0,
    ),
    Rung(
        name="bag_of_ngrams",
        title="fastText-style bag of n-grams",
        idea="vectors for words and word pairs, learnt for the task",
        task="classification",
        kind="neural",
        model="nlpladder.models.classifiers.bag_of_ngrams:BagOfNgramsForSequenceClassification",
        training={"learning_rate": 5e-3, "num_train_epochs": 6, "batch_size": 64, "precision": "fp32"},
        tokenizer=_WORDS,
        recipe=_TRAIN_ANY,
        paper="Joulin et al., Bag of tricks for efficient text classification",
        year=2017,
        typical_seconds=10.0,
        streams=True,
    ),
    Rung(
        name="text_cnn",
        title="TextCNN",
        idea="filters that find short phrases anywhere in the text",
        task="classification",
        kind="neural",
        model="nlpladder.models.classifiers.text_cnn:TextCNNForSequenceClassification",
        training={"learning_rate": 1e-3, "num_train_epochs": 10},
        tokenizer=_WORDS,
        recipe=_TRAIN_ANY,
        paper="Kim, Convolutional neural networks for sentence classification",
        year=2014,
        typical_seconds=15.0,
        streams=True,
    ),
    Rung(
        name="bilstm",
        title="bidirectional LSTM with attention pooling",
        idea="reads in order, in both directions, and remembers",
        task="classification",
        kind="neural",
        model="nlpladder.models.classifiers.recurrent:RecurrentForSequenceClassification",
        training={"learning_rate": 2e-3, "num_train_epochs": 10},
        tokenizer=_WORDS,
        recipe=_TRAIN_ANY,
        paper="Hochreiter & Schmidhuber, Long short-term memory",
        year=1997,
        typical_seconds=15.0,
        streams=True,
    ),
    Rung(
        name="transformer",
        title="Transformer encoder from random weights",
        idea="every word looks at every other word",
        task="classification",
        kind="neural",
        model="nlpladder.models.transformer.classifier:TransformerForSequenceClassification",
        training={"learning_rate": 1e-3, "num_train_epochs": 10},
        tokenizer=_WORDS,
        recipe=_TRAIN_ANY,
        paper="Vaswani et al., Attention is all you need",
        year=2017,
        typical_seconds=15.0,
        streams=True,
    ),
    Rung(
        name="bert_lora",
        title="pretrained BERT, LoRA",
        idea="knows the language before it sees a label; adapts through small low-rank matrices",
        task="classification",
        kind="pretrained",
        model="transformers:AutoModelForSequenceClassification",
        model_settings={"lora": True},
        training={"learning_rate": 1e-3, "num_train_epochs": 5, "max_length": 128},
        recipe="recipes/finetune_bert.py",
        paper="Hu et al., LoRA: low-rank adaptation of large language models",
        year=2022,
        typical_seconds=20.0,
        streams=True,
    ),
    Rung(
        name="bert",
        title="pretrained BERT, all weights tuned",
        idea="the same, with every weight free to move",
        task="classification",
        kind="pretrained",
        model="transformers:AutoModelForSequenceClassification",
        training={"learning_rate": 5e-5, "num_train_epochs": 3, "max_length": 128},
        recipe="recipes/finetune_bert.py",
        paper="Devlin et al., BERT: pre-training of deep bidirectional transformers",
        year=2019,
        typical_seconds=20.0,
        streams=True,
    ),
    Rung(
        name="lsa",
        title="latent semantic analysis (TF-IDF, truncated SVD)",
        idea="words that occur in the same lines get similar vectors",
        task="embeddings",
        kind="classic",
        model="nlpladder.models.counts.latent_semantic_analysis:train_lsa",
        recipe=_CLIMB,
        paper="Deerwester et al., Indexing by latent semantic analysis",
        year=1990,
        typical_seconds=5.0,
    ),
    Rung(
        name="glove",
        title="GloVe",
        idea="factorises how often words stand near each other, near ones counting more",
        task="embeddings",
        kind="classic",
        model="nlpladder.models.vectors.glove:train_glove",
        recipe="recipes/train_glove.py",
        paper="Pennington et al., GloVe: global vectors for word representation",
        year=2014,
        typical_seconds=30.0,
    ),
    Rung(
        name="cbow",
        title="Word2Vec, CBOW",
        idea="learns to guess a word from its neighbours, one window after the other: no counts are kept",
        task="embeddings",
        kind="classic",
        model="nlpladder.models.vectors.word2vec:train_word2vec",
        model_settings={"architecture": "cbow"},
        recipe="recipes/train_word2vec.py",
        paper="Mikolov et al., Efficient estimation of word representations in vector space",
        year=2013,
        typical_seconds=10.0,
    ),
    Rung(
        name="skipgram",
        title="Word2Vec, skip-gram",
        idea="guesses the neighbours from the word: rare words learn from each of their contexts",
        task="embeddings",
        kind="classic",
        model="nlpladder.models.vectors.word2vec:train_word2vec",
        model_settings={"architecture": "skipgram"},
        recipe="recipes/train_word2vec.py",
        paper="Mikolov et al., Distributed representations of words and phrases and their compositionality",
        year=2013,
        typical_seconds=30.0,
    ),
    Rung(
        name="fasttext",
        title="FastText, skip-gram with sub-words",
        idea="a word is the sum of its pieces: inflections share what they learn, unseen words get vectors",
        task="embeddings",
        kind="classic",
        model="nlpladder.models.vectors.word2vec:train_word2vec",
        model_settings={"architecture": "skipgram", "subwords": True},
        recipe="recipes/train_fasttext.py",
        paper="Bojanowski et al., Enriching word vectors with subword information",
        year=2017,
        typical_seconds=60.0,
    ),
    Rung(
        name="loaded_vectors",
        title="vectors from a file",
        idea="what was learnt elsewhere, from more text",
        task="embeddings",
        kind="classic",
        model="nlpladder.models.vectors.word_vectors:WordVectors",
        recipe=_CLIMB,
        paper="given with --vectors",
        year=0,
        deterministic=True,
    ),
    Rung(
        name="unigram",
        title="unigram model",
        idea="knows how often each word occurs, and nothing of its place",
        task="language_modeling",
        kind="classic",
        model="nlpladder.models.ngram.model:NGramLanguageModel",
        model_settings={"order": 1},
        recipe=_NGRAM,
        paper="Shannon, A mathematical theory of communication",
        year=1948,
        deterministic=True,
    ),
    Rung(
        name="bigram",
        title="bigram model, modified Kneser-Ney",
        idea="sees the word before; an unseen pair falls back on how many contexts a word has",
        task="language_modeling",
        kind="classic",
        model="nlpladder.models.ngram.model:NGramLanguageModel",
        model_settings={"order": 2},
        recipe=_NGRAM,
        paper="Kneser & Ney, Improved backing-off for m-gram language modeling",
        year=1995,
        deterministic=True,
    ),
    Rung(
        name="trigram",
        title="trigram model, modified Kneser-Ney",
        idea="sees two words; a discount for each low count",
        task="language_modeling",
        kind="classic",
        model="nlpladder.models.ngram.model:NGramLanguageModel",
        model_settings={"order": 3},
        recipe=_NGRAM,
        paper="Chen & Goodman, An empirical study of smoothing techniques for language modeling",
        year=1999,
        deterministic=True,
    ),
    Rung(
        name="five_gram",
        title="5-gram model, modified Kneser-Ney",
        idea="sees four words where it has met them, fewer where it has not",
        task="language_modeling",
        kind="classic",
        model="nlpladder.models.ngram.model:NGramLanguageModel",
        model_settings={"order": 5},
        recipe=_NGRAM,
        paper="Heafield et al., Scalable modified Kneser-Ney language model estimation",
        year=2013,
        deterministic=True,
    ),
)


def find_rung(name: str) -> Rung:
    """Return the rung called `name`.

    Raises:
        ConfigError: with the nearest name.
    """
    by_name = {rung.name: rung for rung in LADDER}
    if name not in by_name:
        raise ConfigError(f"There is no rung {name!r}.{did_you_mean(name, by_name)} Rungs: {', '.join(by_name)}.")
    return by_name[name]


def choose_rungs(names: Iterable[str], *, task: TaskName = "classification") -> tuple[Rung, ...]:
    """Return the rungs of `task` that are named (``all`` for every one), in the ladder's order.

    Raises:
        ConfigError: for an unknown name, or a rung of another task.
    """
    wanted = list(names)
    if wanted == ["all"]:
        return tuple(rung for rung in LADDER if rung.task == task)
    chosen = [find_rung(name) for name in wanted]
    if not chosen:
        raise ConfigError("No rung was named. Use --rungs all, or some of them, comma-separated.")
    for rung in chosen:
        if rung.task != task:
            known = ", ".join(other.name for other in LADDER if other.task == task)
            raise ConfigError(f"The rung {rung.name!r} is for {rung.task}, not for {task}. Rungs of {task}: {known}.")
    return tuple(rung for rung in LADDER if rung in chosen)
