"""The same text split by several tokenizers: words, BPE, WordPiece, Unigram; learnt here, or a model's own."""

from __future__ import annotations

import functools
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from nlpladder.errors import ConfigError, DataError
from nlpladder.text.subwords import Scheme
from nlpladder.views.changed_text import token_chips_html
from shell.limits import DemoError, check_choice, check_choices, check_text, check_whole
from shell.store import known_to

#: What people choose, and the scheme of `train_subword_tokenizer`.
SCHEMES = {"words": "word", "BPE": "bpe", "WordPiece": "wordpiece", "Unigram": "unigram",
           "byte-level BPE": "byte_bpe", "characters": "char"}  # fmt: skip
USUAL = ("words", "BPE", "WordPiece", "Unigram")
SOURCES = ("built-in stories", "built-in reviews", "the text itself")
SIZES = (120, 300, 600, 1200)
MAX_MODELS = 3
MAX_TOKENIZER_BYTES = 30_000_000
COLUMNS = ("Tokenizer", "Tokens", "Tokens a word", "Unknown", "Vocabulary")
#: Lines of a world that tokenizers learn from.
_LINES = 1000
_FILE = "tokenizer.json"


@dataclass(frozen=True)
class Split:
    """A text split by one tokenizer.

    Attributes:
        name: Of the tokenizer.
        tokens: Its tokens; what the vocabulary lacks is shown as it stands in the text.
        unknown: Which of them it lacks, (tokens,).
        vocabulary: Its entries.
        problem: Why there is no split; empty if there is one.
    """

    name: str
    tokens: tuple[str, ...]
    unknown: tuple[bool, ...]
    vocabulary: int
    problem: str = ""


@dataclass(frozen=True)
class _Tokenizer:
    """A tokenizer of the library, its unknown token, and how many entries it has."""

    encoder: Any
    unknown: str | None
    size: int


def tokenizer_names(store: Any) -> list[str]:
    """Return the models of this machine that came with a tokenizer of their own."""
    return [entry.name for entry in store.entries() if entry.folder is not None and (entry.folder / _FILE).is_file()]


def splits_of(
    store: Any,
    text: Any,
    schemes: Any = USUAL,
    source: Any = SOURCES[0],
    vocab_size: Any = SIZES[2],
    models: Any = (),
) -> list[Split]:
    """Split a text by several tokenizers.

    Args:
        store: The models.
        text: Any text.
        schemes: Keys of `SCHEMES`, learnt from `source`.
        source: One of `SOURCES`.
        vocab_size: Entries that each may learn, one of `SIZES`.
        models: Models whose own tokenizers are used besides, of `tokenizer_names`.

    Raises:
        DemoError: An input is not as expected.
    """
    text = check_text(text, "Text")
    wanted = check_choices(schemes, "Tokenizers", SCHEMES, most=len(SCHEMES)) if schemes else []
    learnt_from = check_choice(source, "Learnt from", SOURCES)
    size = check_whole(vocab_size, "Vocabulary", least=SIZES[0], most=SIZES[-1])
    if size not in SIZES:
        raise DemoError(f"Vocabulary is {size}, expected one of {', '.join(map(str, SIZES))}.")
    if models and not known_to(tokenizer_names(store), models):
        store.refresh()
    names = check_choices(models, "Of models", tokenizer_names(store), most=MAX_MODELS) if models else []
    if not wanted and not names:
        raise DemoError("Tokenizers: nothing is chosen. Choose one or more.")
    splits = []
    for name in wanted:
        try:
            if learnt_from == SOURCES[2]:
                tokenizer = _train(SCHEMES[name], text.splitlines(), size, 1)
            else:
                tokenizer = _learnt(SCHEMES[name], learnt_from, size)
        except (ConfigError, DataError) as error:
            splits.append(Split(name, (), (), 0, str(error)))
            continue
        splits.append(_split(name, tokenizer, text))
    for name in names:
        path = store.entry(name).folder / _FILE
        splits.append(_split(name, _opened(str(path), path.stat().st_mtime_ns), text))
    return splits


def table_of(splits: Sequence[Split], text: str) -> pd.DataFrame:
    """Return the counts, one row a tokenizer, `COLUMNS`."""
    words = max(1, len(text.split()))
    rows = [
        (split.name, len(split.tokens), round(len(split.tokens) / words, 2), sum(split.unknown), split.vocabulary)
        for split in splits
        if not split.problem
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def page_of(splits: Sequence[Split]) -> str:
    """Return the splits one below the other, HTML."""
    parts = []
    for split in splits:
        lacking = sum(split.unknown)
        counts = f"{len(split.tokens):,} tokens" + (f", {lacking:,} unknown (?)" if lacking else "")
        inside = (
            f"<p>{html.escape(split.problem)}</p>"
            if split.problem
            else token_chips_html(split.tokens, unknown=split.unknown, label=f"Tokens of {split.name}")
        )
        parts.append(
            '<section style="flex:1 1 300px;min-width:0;border:1px solid var(--border-color-primary);'
            'border-radius:.5em;padding:.5em .8em"><h4 style="margin:0;overflow-wrap:anywhere">'
            f"{html.escape(split.name)}</h4>"
            '<p class="nw-note" style="margin:0">'
            f"{'' if split.problem else counts}</p>{inside}</section>"
        )
    return f'<div style="display:flex;flex-wrap:wrap;gap:.8em">{"".join(parts)}</div>'


def _split(name: str, tokenizer: _Tokenizer, text: str) -> Split:
    encoded = tokenizer.encoder.encode(text, add_special_tokens=False)
    unknown = tuple(token == tokenizer.unknown for token in encoded.tokens)
    tokens = tuple(
        text[begin:end] or token if lacking else token
        for token, lacking, (begin, end) in zip(encoded.tokens, unknown, encoded.offsets, strict=True)
    )
    return Split(name, tokens, unknown, tokenizer.size)


@functools.lru_cache(maxsize=64)
def _learnt(scheme: str, source: str, vocab_size: int) -> _Tokenizer:
    """Return a tokenizer that learnt from built-in text; each is made once."""
    return _train(scheme, _built_in(source), vocab_size, 2)


@functools.lru_cache(maxsize=2)
def _built_in(source: str) -> list[str]:
    from nlpladder.data.worlds.registry import build_world

    world = build_world("stories" if source == SOURCES[0] else "reviews")
    return list(map(str, world.generate("train", _LINES, seed=0)["text"]))


def _train(scheme: str, texts: list[str], vocab_size: int, min_frequency: int) -> _Tokenizer:
    from nlpladder.text.subwords import train_subword_tokenizer

    assert scheme in get_args(Scheme)
    trained = train_subword_tokenizer(
        texts,
        scheme=scheme,
        vocab_size=vocab_size,
        min_frequency=min_frequency,  # type: ignore[arg-type]
    )
    return _Tokenizer(trained.backend_tokenizer, trained.unk_token, len(trained))


@functools.lru_cache(maxsize=8)
def _opened(path: str, changed: int) -> _Tokenizer:
    """Return the tokenizer of a file as it is since `changed`; a file of json alone, no code."""
    from tokenizers import Tokenizer

    if Path(path).stat().st_size > MAX_TOKENIZER_BYTES:
        raise DemoError(f"The tokenizer file is larger than {MAX_TOKENIZER_BYTES / 1e6:g} MB: it is not opened here.")
    try:
        tokenizer = Tokenizer.from_file(path)
        unknown = json.loads(Path(path).read_text(encoding="utf-8"))["model"].get("unk_token")
    except Exception as error:  # tokenizers raises bare Exception
        raise DemoError(
            "The tokenizer file of this model cannot be read: it is damaged, or of another kind."
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return _Tokenizer(tokenizer, unknown if isinstance(unknown, str) else None, tokenizer.get_vocab_size())
