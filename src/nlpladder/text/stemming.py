"""Stemming and lemmatisation, remembered per word type.

A corpus has few types and many tokens, and both operations look at one word at a time: a memo makes them an order of
magnitude faster without changing any result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from nlpladder.errors import ConfigError, did_you_mean

StemmerName = Literal["porter", "snowball", "lancaster"]
LemmatizerName = Literal["simplemma", "wordnet"]
WordFunction = Callable[[str], str]

#: Types that a memo holds before it is emptied; about 20 MB.
MEMO_SIZE = 200_000


class Memo(dict[str, str]):
    """A function of one word that remembers its answers, at most `maximum` of them.

    Args:
        function: A pure function.
        maximum: When so many answers are held, they are dropped and collecting starts again: cheaper than keeping
            an order of use, and frequent words are back at once.
    """

    def __init__(self, function: WordFunction, maximum: int = MEMO_SIZE) -> None:
        super().__init__()
        self.function = function
        self.maximum = maximum

    def __missing__(self, word: str) -> str:
        result = self.function(word)
        if len(self) >= self.maximum:
            self.clear()
        self[word] = result
        return result


def stemmer(method: StemmerName = "porter", language: str = "english") -> WordFunction:
    """Return NLTK's stemmer as a function of one word; all of them lower-case the word.

    Args:
        method: ``porter`` (Porter 1980, with NLTK's extensions), ``snowball`` (Porter2 and its kin for other
            languages) or ``lancaster`` (Paice & Husk 1990, the most aggressive).
        language: For ``snowball``.

    Raises:
        ConfigError: for a language that has no stemmer.
    """
    if method == "porter":
        from nltk.stem.porter import PorterStemmer

        return PorterStemmer().stem
    if method == "lancaster":
        from nltk.stem.lancaster import LancasterStemmer

        return LancasterStemmer().stem
    from nltk.stem.snowball import SnowballStemmer

    if language not in SnowballStemmer.languages:
        raise ConfigError(
            f"Snowball has no stemmer for {language!r}.{did_you_mean(language, SnowballStemmer.languages)} "
            f"It has: {', '.join(SnowballStemmer.languages)}."
        )
    return SnowballStemmer(language).stem


def lemmatizer(method: LemmatizerName = "simplemma", language: str = "en", part_of_speech: str = "n") -> WordFunction:
    """Return a lemmatiser as a function of one word.

    Args:
        method: ``simplemma`` (dictionaries for about fifty languages, shipped with the package; the lemma of a
            lower-case word is lower-cased, where simplemma alone makes "mr" "Mr") or ``wordnet`` (NLTK's
            WordNetLemmatizer, English; needs its data).
        language: Two-letter code, for ``simplemma``.
        part_of_speech: For ``wordnet``: n, v, a, r or s. WordNet lemmatises nothing else than what is asked for, so
            that "was" stays "was" as a noun.

    Raises:
        ConfigError: for an unknown language.
        DataError: when WordNet's data is not there; the message holds the download command.
    """
    if method == "wordnet":
        return _wordnet_lemmatizer(part_of_speech)
    import simplemma
    from simplemma.strategies.dictionaries.dictionary_factory import SUPPORTED_LANGUAGES

    if language not in SUPPORTED_LANGUAGES:
        raise ConfigError(
            f"simplemma has no dictionary for {language!r}.{did_you_mean(language, sorted(SUPPORTED_LANGUAGES))} "
            f"It has: {', '.join(sorted(SUPPORTED_LANGUAGES))}."
        )

    def lemmatize(word: str) -> str:
        try:
            lemma = simplemma.lemmatize(word, lang=language)
        except UnicodeEncodeError:  # a lone surrogate is in no dictionary
            return word
        return lemma.lower() if word.islower() else lemma

    return lemmatize


def _wordnet_lemmatizer(part_of_speech: str) -> WordFunction:
    if part_of_speech not in ("n", "v", "a", "r", "s"):
        raise ConfigError(f"WordNet's part of speech is one of n, v, a, r, s, not {part_of_speech!r}.")
    from nlpladder.text.nltk_data import require_nltk_data

    require_nltk_data("wordnet", "omw-1.4", purpose="The lemmatiser 'wordnet'", instead="use the method 'simplemma'")
    from nltk.stem import WordNetLemmatizer

    wordnet = WordNetLemmatizer()
    return lambda word: wordnet.lemmatize(word, part_of_speech)
