"""Text augmentation: easy data augmentation (EDA), typing noise and back-translation."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlpladder.errors import ConfigError, DataError, did_you_mean
from nlpladder.text.noise import NOISE_OPERATIONS

if TYPE_CHECKING:
    import numpy as np

#: The four operations of EDA, what they do.
EDA_OPERATIONS = {
    "synonym_replacement": "Replace words by synonyms.",
    "random_insertion": "Insert synonyms of words of the text at random places.",
    "random_swap": "Swap two words, several times.",
    "random_deletion": "Delete each word with a probability.",
}
#: Every operation by its name, with one line of explanation.
OPERATIONS: Mapping[str, str] = {
    **EDA_OPERATIONS,
    **{name: (function.__doc__ or "").splitlines()[0] for name, function in NOISE_OPERATIONS.items()},
    "back_translation": "Translate to another language and back, with two functions of yours.",
}
_NEED_SYNONYMS = ("synonym_replacement", "random_insertion")
_AFFIXES = re.compile(r"^(\W*)(.*?)(\W*)$", re.DOTALL)
# A copy that equals its source, or another copy, is tried again so often.
_ATTEMPTS = 4

Synonyms = Mapping[str, Sequence[str]]
Translate = Callable[[str], str]


class Augmenter:
    """Makes altered copies of labelled texts (Wei & Zou 2019, "EDA", arXiv:1901.11196).

    Each copy is made by one operation; a text's operations are taken in turn from a shuffled list. The random numbers
    of a copy come from (seed, index of the text, number of the copy), so that neither the other texts nor the order of
    the work matters. A copy that equals its source or another copy is left out.

    Words are split at white space; punctuation around a word stays where it is. Following EDA, an operation changes
    ``max(1, round(rate * words))`` words, and stop words have no synonyms.

    Args:
        operations: Names of `OPERATIONS`.
        rate: The share of words (of characters, for noise) that an operation changes; alpha in EDA.
        copies: Altered copies per text.
        seed: Any whole number.
        synonyms: ``"wordnet"``, the path of a json file ``{"word": ["synonym", ...]}``, or such a mapping.
        back_translation: Two functions from text to text, there and back. They are not part of the config.

    Raises:
        ConfigError: for an unknown operation, or a value out of range.
        DataError: when WordNet's data (the message holds the download command) or the json file is not there.
    """

    def __init__(
        self,
        operations: Sequence[str] = tuple(EDA_OPERATIONS),
        *,
        rate: float = 0.1,
        copies: int = 1,
        seed: int = 0,
        synonyms: Synonyms | str | os.PathLike[str] | None = None,
        back_translation: tuple[Translate, Translate] | None = None,
    ) -> None:
        if isinstance(operations, str) or not operations:
            raise ConfigError(
                f"operations is {operations!r}, expected a list with at least one name of: {', '.join(OPERATIONS)}."
            )
        for name in operations:
            if name not in OPERATIONS:
                known = ", ".join(OPERATIONS)
                raise ConfigError(
                    f"There is no operation {name!r}.{did_you_mean(name, OPERATIONS)} Operations: {known}."
                )
        if not 0 < rate <= 1:
            raise ConfigError(f"rate is {rate}, expected a share above 0 and at most 1.")
        if copies < 1:
            raise ConfigError(f"copies is {copies}, expected at least 1.")
        needing = [name for name in operations if name in _NEED_SYNONYMS]
        if needing and synonyms is None:
            raise ConfigError(f"{needing[0]} needs synonyms: 'wordnet', the path of a json file, or a mapping.")
        if "back_translation" in operations and back_translation is None:
            raise ConfigError("back_translation needs two functions: back_translation=(there, back).")
        if seed < 0:
            raise ConfigError(f"seed is {seed}, expected a whole number from 0 on.")
        self.operations = tuple(operations)
        self.rate = float(rate)
        self.copies = int(copies)
        self.seed = int(seed)
        self._synonyms_config = (
            dict(synonyms) if isinstance(synonyms, Mapping) else None if synonyms is None else str(synonyms)
        )
        self._synonyms = _synonym_lookup(self._synonyms_config) if needing else _no_synonyms
        self._back_translation = back_translation

    def augment(
        self, texts: Sequence[str], labels: Sequence[Any] | None = None, *, keep_originals: bool = True
    ) -> tuple[list[str], list[Any], list[int]]:
        """Return the texts with their copies.

        Args:
            texts: Any texts.
            labels: One per text; a copy has its source's label.
            keep_originals: Whether each text stands before its copies.

        Returns:
            The texts, their labels (empty without `labels`) and, per text, the index of its source in `texts`.

        Raises:
            DataError: when there are not as many labels as texts.
        """
        if labels is not None and len(labels) != len(texts):
            raise DataError(f"There are {len(texts)} texts but {len(labels)} labels.")
        augmented: list[str] = []
        sources: list[int] = []
        for index, text in enumerate(texts):
            group = ([text] if keep_originals else []) + self.copies_of(text, index)
            augmented += group
            sources += [index] * len(group)
        return augmented, [] if labels is None else [labels[index] for index in sources], sources

    def copies_of(self, text: str, index: int = 0) -> list[str]:
        """Return the altered copies of one text, `copies` at most.

        Args:
            text: Any text.
            index: The text's place in its data set, which decides the random numbers.
        """
        import numpy as np

        order = np.random.default_rng((self.seed, index)).permutation(len(self.operations))
        found = {text: None}  # a dict keeps the order
        for copy in range(self.copies):
            generator = np.random.default_rng((self.seed, index, copy))
            for attempt in range(_ATTEMPTS):
                # When an operation cannot change this text, the next one has its turn.
                operation = self.operations[order[(copy + attempt) % len(order)]]
                altered = self._apply(operation, text, generator)
                if altered.strip() and altered not in found:
                    found[altered] = None
                    break
        return list(found)[1:]

    def _apply(self, operation: str, text: str, generator: np.random.Generator) -> str:
        if operation == "back_translation":
            there, back = self._back_translation  # type: ignore[misc]  # checked in the constructor
            return back(there(text))
        if operation in NOISE_OPERATIONS:
            return NOISE_OPERATIONS[operation](text, self.rate, generator)
        words = text.split()
        if not words:
            return text
        number = max(1, round(self.rate * len(words)))
        if operation == "synonym_replacement":
            words = self._replace_synonyms(words, number, generator)
        elif operation == "random_insertion":
            words = self._insert_synonyms(words, number, generator)
        elif operation == "random_swap":
            words = _swap(words, number, generator)
        else:
            kept = [word for word in words if generator.random() >= self.rate]
            words = kept or [words[generator.integers(len(words))]]
        return " ".join(words)

    def _replace_synonyms(self, words: list[str], number: int, generator: np.random.Generator) -> list[str]:
        """Replace every occurrence of `number` different words, as EDA does."""
        types = list(dict.fromkeys(_core(word).lower() for word in words))
        chosen: dict[str, str] = {}
        for position in generator.permutation(len(types)):
            synonyms = self._synonyms(types[position])
            if synonyms and len(chosen) < number:
                chosen[types[position]] = synonyms[int(generator.integers(len(synonyms)))]
        return [_with_core(word, chosen[core]) if (core := _core(word).lower()) in chosen else word for word in words]

    def _insert_synonyms(self, words: list[str], number: int, generator: np.random.Generator) -> list[str]:
        candidates = [synonyms for word in words if (synonyms := self._synonyms(_core(word).lower()))]
        result = list(words)
        for _ in range(number if candidates else 0):
            synonyms = candidates[generator.integers(len(candidates))]
            result.insert(int(generator.integers(len(result) + 1)), synonyms[int(generator.integers(len(synonyms)))])
        return result

    def to_config(self) -> dict[str, Any]:
        """Return the arguments as plain data for json, without the functions of back-translation."""
        return {
            "operations": list(self.operations),
            "rate": self.rate,
            "copies": self.copies,
            "seed": self.seed,
            "synonyms": self._synonyms_config,
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], back_translation: tuple[Translate, Translate] | None = None
    ) -> Augmenter:
        """Build an augmenter from what `to_config` returned.

        Args:
            config: The config.
            back_translation: The two functions, where the config names that operation.

        Raises:
            ConfigError: for an unknown option.
        """
        valid = ("operations", "rate", "copies", "seed", "synonyms")
        for key in config:
            if key not in valid:
                raise ConfigError(f"The config of an augmenter has no option {key!r}.{did_you_mean(key, valid)}")
        return cls(**config, back_translation=back_translation)

    def __repr__(self) -> str:
        config = self.to_config()
        if isinstance(config["synonyms"], dict):
            config["synonyms"] = f"<{len(config['synonyms'])} words>"
        operations = config.pop("operations")
        return f"Augmenter({operations}, {', '.join(f'{key}={value!r}' for key, value in config.items())})"


def wordnet_synonyms(word: str) -> list[str]:
    """Return WordNet's synonyms of a lower-case word, sorted; only single words, and not the word itself.

    The data must be there, see `nlpladder.text.nltk_data.require_nltk_data`.
    """
    from nltk.corpus import wordnet

    names = {name.lower() for synset in wordnet.synsets(word) for name in synset.lemma_names()}
    return sorted(name for name in names if name != word and name.isalpha())


def _synonym_lookup(source: Mapping[str, Sequence[str]] | str | None) -> Callable[[str], Sequence[str]]:
    """Return a function from a lower-case word to its synonyms; stop words have none."""
    from nlpladder.text.stop_words import stop_words

    skip = stop_words(keep_negations=False)
    if source == "wordnet":
        from nlpladder.text.nltk_data import require_nltk_data

        require_nltk_data("wordnet", "omw-1.4", purpose="synonyms='wordnet'", instead="give a mapping or a json file")
        memo: dict[str, list[str]] = {}

        def look_up(word: str) -> Sequence[str]:
            if word not in memo:
                memo[word] = [] if word in skip or not word.isalpha() else wordnet_synonyms(word)
            return memo[word]

        return look_up
    mapping = source if isinstance(source, Mapping) else _read_synonyms(str(source))
    table = {}
    for word, synonyms in mapping.items():
        if isinstance(synonyms, str) or not all(isinstance(synonym, str) for synonym in synonyms):
            raise DataError(f"The synonyms of {word!r} are {synonyms!r}, expected a list of words.")
        if word.lower() not in skip:
            table[word.lower()] = [synonym for synonym in synonyms if synonym.lower() != word.lower()]
    return lambda word: table.get(word, ())


def _no_synonyms(word: str) -> Sequence[str]:
    return ()


def _read_synonyms(path: str) -> Mapping[str, Sequence[str]]:
    if not Path(path).is_file():
        raise DataError(f"There is no synonym file {path!r}; synonyms is 'wordnet', a json file or a mapping.")
    try:
        mapping = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a json file: {error}") from error
    if not isinstance(mapping, dict):
        raise DataError(f'{path} must hold {{"word": ["synonym", ...]}}, but holds a {type(mapping).__name__}.')
    return mapping


def _core(word: str) -> str:
    """Return `word` without the punctuation around it."""
    return _AFFIXES.sub(r"\2", word, count=1)


def _with_core(word: str, core: str) -> str:
    """Put `core` between the punctuation of `word`, with its capital."""
    match = _AFFIXES.match(word)
    before, old, after = match.groups() if match else ("", word, "")
    if old[:1].isupper():
        core = core.upper() if old.isupper() and len(old) > 1 else core[:1].upper() + core[1:]
    return before + core + after


def _swap(words: list[str], number: int, generator: np.random.Generator) -> list[str]:
    result = list(words)
    for _ in range(number if len(words) > 1 else 0):
        first, second = generator.choice(len(result), size=2, replace=False)
        result[first], result[second] = result[second], result[first]
    return result
