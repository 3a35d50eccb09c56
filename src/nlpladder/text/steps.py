"""The preprocessing steps as data: a demo, the documentation and the errors all read this table."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from nlpladder.errors import ConfigError, DataError, did_you_mean
from nlpladder.text import cleaning, contractions, entities

#: What a step works on. ``running_text``: a text whose words still touch their surroundings, so before a tokeniser.
#: ``characters``: a text, or each token by itself. ``sentences``: splits a text into sentences. ``words``: splits a
#: text into tokens. ``tokens``: a list of tokens; without a tokeniser before it the tokens are split at white space.
Level = Literal["running_text", "characters", "sentences", "words", "tokens"]


_TYPE_NAMES: Mapping[type, str] = {bool: "true or false", int: "a whole number", str: "a string"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a step."""

    name: str
    default: bool | int | str | tuple[str, ...]
    help: str
    choices: tuple[str, ...] = ()

    def check(self, value: Any, step: str) -> bool | int | str | tuple[str, ...]:
        """Return `value` in its one canonical form.

        Raises:
            ConfigError: when it has the wrong type or is not one of the choices.
        """
        where = f"Step {step!r}: parameter {self.name!r}"
        if isinstance(self.default, tuple):
            if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
                raise ConfigError(f"{where} is {value!r}, expected a list of strings.")
            return tuple(value)
        kind = type(self.default)
        if type(value) is not kind:
            raise ConfigError(f"{where} is {value!r}, expected {_TYPE_NAMES[kind]}.")
        if self.choices and value not in self.choices:
            raise ConfigError(
                f"{where} is {value!r}.{did_you_mean(str(value), self.choices)} Choose from {self.choices}."
            )
        if type(value) is int and value < 1:
            raise ConfigError(f"{where} is {value}, expected at least 1.")
        return value


@dataclass(frozen=True)
class Step:
    """One kind of step.

    Attributes:
        name: As written in a config.
        level: What it works on.
        summary: One line for people.
        build: Takes the parameters and returns the function that does the work.
        parameters: In order.
        idempotent: Whether applying it twice is the same as applying it once, for any text.
    """

    name: str
    level: Level
    summary: str
    build: Callable[..., Callable[[Any], Any]]
    parameters: tuple[Parameter, ...] = ()
    idempotent: bool = True

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return every parameter's value, defaults filled in.

        Raises:
            ConfigError: for an unknown parameter or a wrong value.
        """
        names = [parameter.name for parameter in self.parameters]
        for name in given:
            if name not in names:
                known = f"It has: {', '.join(names)}." if names else "It has none."
                raise ConfigError(f"Step {self.name!r} has no parameter {name!r}.{did_you_mean(name, names)} {known}")
        return {p.name: p.check(given.get(p.name, p.default), self.name) for p in self.parameters}


def find_step(name: str) -> Step:
    """Look a step up by its name.

    Raises:
        ConfigError: with the nearest name.
    """
    if name not in STEPS:
        raise ConfigError(
            f"There is no preprocessing step {name!r}.{did_you_mean(name, STEPS)} Steps: {', '.join(STEPS)}."
        )
    return STEPS[name]


def _text(function: Callable[..., str]) -> Callable[..., Callable[[str], str]]:
    """Turn a function of text and parameters into a builder."""
    return lambda **parameters: partial(function, **parameters) if parameters else function


def _token_parameter(default: str, what: str) -> Parameter:
    return Parameter("token", default, f"What stands in for {what}; an empty string removes it.")


def _build_sentence_tokenizer(**parameters: Any) -> Callable[[str], list[str]]:
    from nlpladder.text.sentences import sentence_tokenizer

    return sentence_tokenizer(**parameters)


def _build_word_tokenizer(method: Any) -> Callable[[str], list[str]]:
    from nlpladder.text.tokenization import word_tokenizer

    return word_tokenizer(method)


def _build_subword_tokenizer(tokenizer: str) -> Callable[[str], list[str]]:
    from pathlib import Path

    from tokenizers import Tokenizer

    path = Path(tokenizer) / "tokenizer.json" if Path(tokenizer).is_dir() else Path(tokenizer)
    if not tokenizer or not path.is_file():
        raise DataError(
            f"Step 'subword_tokenize': there is no tokenizer file {str(path)!r}; train_subword_tokenizer makes one."
        )
    try:
        trained = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise DataError(f"Step 'subword_tokenize': {path} is not a tokenizer.json file: {error}") from error
    return lambda text: trained.encode(text, add_special_tokens=False).tokens


def _build_stop_words(**parameters: Any) -> Callable[[list[str]], list[str]]:
    from nlpladder.text.stop_words import stop_words

    words = stop_words(**parameters)
    return lambda tokens: [token for token in tokens if token.lower() not in words]


def _build_stemmer(**parameters: Any) -> Callable[[list[str]], list[str]]:
    from nlpladder.text.stemming import Memo, stemmer

    memo = Memo(stemmer(**parameters))
    return lambda tokens: list(map(memo.__getitem__, tokens))


def _build_lemmatizer(**parameters: Any) -> Callable[[list[str]], list[str]]:
    from nlpladder.text.stemming import Memo, lemmatizer

    memo = Memo(lemmatizer(**parameters))
    return lambda tokens: list(map(memo.__getitem__, tokens))


def _build_length_filter(minimum: int, maximum: int) -> Callable[[list[str]], list[str]]:
    return lambda tokens: [token for token in tokens if minimum <= len(token) <= maximum]


_FORMS = {
    "nfc": "Compose accents: one code point per letter.",
    "nfd": "Decompose accents into letter and mark.",
    "nfkc": "Compose, and fold ligatures, full-width and other compatibility forms.",
    "nfkd": "Decompose, and fold compatibility forms.",
}

_ALL_STEPS = (
    *(
        Step(
            f"unicode_{form}",
            "characters",
            summary,
            lambda form=form: partial(cleaning.normalize_unicode, form=form.upper()),
        )
        for form, summary in _FORMS.items()
    ),
    Step(
        "clean_control_characters",
        "characters",
        "Remove invisible and control characters; repair Windows-1252 punctuation.",
        _text(cleaning.clean_control_characters),
    ),
    Step(
        "clean_whitespace",
        "characters",
        "Turn every run of white space into one space.",
        _text(cleaning.clean_whitespace),
        (Parameter("keep_newlines", False, "Whether line ends stay."),),
    ),
    Step(
        "strip_html",
        "running_text",
        "Remove HTML tags, comments, scripts and styles; decode entities.",
        _text(cleaning.strip_html),
        (Parameter("line_break", "\n", "What <br> and the border of a block become."),),
        idempotent=False,
    ),
    Step(
        "expand_contractions",
        "running_text",
        "Write English contractions out: won't -> will not.",
        _text(contractions.expand_contractions),
    ),
    Step("lowercase", "characters", "Lower-case.", _text(str.lower)),
    Step("strip_accents", "characters", "Remove combining marks: café -> cafe.", _text(cleaning.strip_accents)),
    Step(
        "replace_urls",
        "running_text",
        "Replace web addresses.",
        _text(entities.replace_urls),
        (_token_parameter("<url>", "a web address"),),
    ),
    Step(
        "replace_emails",
        "running_text",
        "Replace e-mail addresses.",
        _text(entities.replace_emails),
        (_token_parameter("<email>", "an e-mail address"),),
    ),
    Step(
        "replace_mentions",
        "running_text",
        "Replace @mentions.",
        _text(entities.replace_mentions),
        (_token_parameter("<user>", "a mention"),),
    ),
    Step(
        "replace_hashtags",
        "running_text",
        "Replace #hashtags, or drop their mark.",
        _text(entities.replace_hashtags),
        (
            _token_parameter("<hashtag>", "a hashtag"),
            Parameter("keep_word", False, "Whether only the mark # is dropped."),
        ),
    ),
    Step(
        "replace_numbers",
        "running_text",
        "Replace numbers.",
        _text(entities.replace_numbers),
        (_token_parameter("<num>", "a number"),),
    ),
    Step(
        "replace_emoji",
        "characters",
        "Replace emoji.",
        _text(entities.replace_emoji),
        (_token_parameter("<emoji>", "an emoji"),),
    ),
    Step("demojize", "characters", "Write emoji as their names: :grinning_face:.", _text(entities.demojize)),
    Step(
        "squeeze_repeats",
        "characters",
        "Shorten runs of one character: sooooo -> sooo.",
        _text(cleaning.squeeze_repeats),
        (Parameter("maximum", 3, "The longest run that stays."),),
    ),
    Step(
        "remove_punctuation",
        "characters",
        "Remove punctuation and symbols; placeholders such as <url> stay.",
        _text(cleaning.remove_punctuation),
        (
            Parameter("keep", "", "Characters to leave alone, for example !?"),
            Parameter("replacement", " ", "What stands in for each removed character."),
        ),
    ),
    Step(
        "sentence_tokenize",
        "sentences",
        "Split into sentences; later steps see them one by one, and the output has one a line.",
        _build_sentence_tokenizer,
        (
            Parameter("method", "rules", "rules (no download) or NLTK's punkt.", ("rules", "punkt")),
            Parameter("language", "english", "Of the Punkt model."),
            Parameter("abbreviations", (), "For rules: more words that a stop may follow inside a sentence."),
        ),
        idempotent=False,
    ),
    Step(
        "word_tokenize",
        "words",
        "Split into words and punctuation marks.",
        _build_word_tokenizer,
        (
            Parameter(
                "method",
                "regex",
                "regex is fast; treebank and tweet are NLTK's.",
                ("regex", "treebank", "tweet", "whitespace"),
            ),
        ),
        idempotent=False,
    ),
    Step(
        "subword_tokenize",
        "words",
        "Split into the sub-words of a trained tokenizer.",
        _build_subword_tokenizer,
        (Parameter("tokenizer", "", "A tokenizer.json file, or the folder that holds it."),),
        idempotent=False,
    ),
    Step(
        "remove_stop_words",
        "tokens",
        "Remove function words; negations stay unless asked otherwise.",
        _build_stop_words,
        (
            Parameter("source", "sklearn", "scikit-learn's list, NLTK's, or none.", ("sklearn", "nltk", "none")),
            Parameter("language", "english", "Of NLTK's list."),
            Parameter("keep_negations", True, "Whether not, n't, never and their kind stay."),
            Parameter("extra_words", (), "More words to remove."),
        ),
    ),
    Step(
        "filter_by_length",
        "tokens",
        "Keep tokens of a certain length.",
        _build_length_filter,
        (Parameter("minimum", 1, "Characters, at least."), Parameter("maximum", 100, "Characters, at most.")),
    ),
    Step(
        "stem",
        "tokens",
        "Cut words to their stems.",
        _build_stemmer,
        (
            Parameter("method", "porter", "Which stemmer.", ("porter", "snowball", "lancaster")),
            Parameter("language", "english", "For snowball."),
        ),
        idempotent=False,
    ),
    Step(
        "lemmatize",
        "tokens",
        "Bring words to their dictionary forms.",
        _build_lemmatizer,
        (
            Parameter(
                "method", "simplemma", "simplemma (no download) or WordNet through NLTK.", ("simplemma", "wordnet")
            ),
            Parameter("language", "en", "Two-letter code, for simplemma."),
            Parameter("part_of_speech", "n", "For wordnet.", ("n", "v", "a", "r", "s")),
        ),
        idempotent=False,
    ),
)

#: Every step by its name, in the order in which they are usually applied.
STEPS: Mapping[str, Step] = types.MappingProxyType({step.name: step for step in _ALL_STEPS})
