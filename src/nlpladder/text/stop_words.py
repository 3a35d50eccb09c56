"""Stop words: scikit-learn's list, NLTK's, or one's own, with negations kept where wanted."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from nlpladder.errors import ConfigError, did_you_mean

StopWordSource = Literal["sklearn", "nltk", "none"]

_NEGATIONS_TEXT = """
    no not nor never none nobody nothing nowhere neither cannot without n't n’t ain aren couldn didn doesn don hadn
    hasn haven isn mightn mustn needn shan shouldn wasn weren won wouldn
"""
#: Words whose removal turns a sentence into its opposite.
NEGATIONS = frozenset(_NEGATIONS_TEXT.split())
#: What the tokenisers split off a contraction; each stands for a stop word.
CLITICS = frozenset(f"{apostrophe}{word}" for apostrophe in "'’" for word in ("s", "d", "m", "ll", "re", "ve"))


def stop_words(
    source: StopWordSource = "sklearn",
    language: str = "english",
    keep_negations: bool = True,
    extra_words: Collection[str] = (),
) -> frozenset[str]:
    """Return a set of lower-case stop words.

    Args:
        source: ``sklearn`` is scikit-learn's ENGLISH_STOP_WORDS (318 words) with the clitics that tokenisers make
            ('s, 'll, n't, ...); ``nltk`` is NLTK's list for `language`; ``none`` is only `extra_words`.
        language: Of NLTK's list.
        keep_negations: Whether "not", "n't", "never", "cannot" and their kind stay in the text. They decide a
            sentiment, so that is the default.
        extra_words: More words to remove; these are removed even if they are negations.

    Raises:
        DataError: when NLTK's data is not there; the message holds the download command.
        ConfigError: for a language without a list.
    """
    words: frozenset[str] = frozenset()
    if source == "sklearn":
        if language != "english":
            raise ConfigError(f"scikit-learn's stop words are English, not {language!r}. Use the source 'nltk'.")
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        words = frozenset(ENGLISH_STOP_WORDS) | CLITICS | {"n't", "n’t"}
    elif source == "nltk":
        words = _nltk_stop_words(language)
    if keep_negations:
        words = frozenset(word for word in words if not is_negation(word))
    return words | frozenset(word.lower() for word in extra_words)


def is_negation(word: str) -> bool:
    """Whether dropping the lower-case `word` may turn a sentence into its opposite."""
    return word in NEGATIONS or word.endswith(("n't", "n’t")) or word in ("cant", "couldnt", "hasnt")


def _nltk_stop_words(language: str) -> frozenset[str]:
    from nlpladder.text.nltk_data import require_nltk_data

    require_nltk_data("stopwords", purpose="The stop-word source 'nltk'", instead="use the source 'sklearn'")
    from nltk.corpus import stopwords

    languages = stopwords.fileids()
    if language not in languages:
        raise ConfigError(f"NLTK has no stop words for {language!r}.{did_you_mean(language, languages)}")
    return frozenset(stopwords.words(language))
