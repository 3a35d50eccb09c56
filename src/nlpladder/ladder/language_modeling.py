"""The rungs of language modelling."""

from __future__ import annotations

from nlpladder.ladder.rung import Rung

_NGRAM = "recipes/train_ngram_lm.py"

LANGUAGE_MODELING: tuple[Rung, ...] = (
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
