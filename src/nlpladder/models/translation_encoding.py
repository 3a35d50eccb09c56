"""How texts become the token ids of an encoder-decoder: prefix, case, languages, end marks, limits.

Training and use go through the same functions, so that a model reads in use what it read in training.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nlpladder.errors import ConfigError, ModelError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class TextFormat:
    """What is done to a text around the tokenizer; saved with the model.

    Attributes:
        lowercase: The source is lower-cased first.
        prefix: Put before every source, such as ``"summarize: "`` (Raffel et al. 2020, section 2.4).
        max_source_length: Most tokens of a source, marks included; None for what the model reads at once.
        cut_long_sources: A longer source is cut there, as in training; otherwise it is read in pieces, none of it lost.
        source_language: The language code that a multilingual tokenizer takes for the source, such as ``de_DE``.
        target_language: The same for the target.
    """

    lowercase: bool = False
    prefix: str = ""
    max_source_length: int | None = None
    cut_long_sources: bool = False
    source_language: str | None = None
    target_language: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, to be written as JSON."""
        return asdict(self)

    def read(self, text: str) -> str:
        """Return the text as the tokenizer sees it."""
        return self.prefix + (text.lower() if self.lowercase else text)


def source_ids(tokenizer: Any, texts: Sequence[str], text_format: TextFormat) -> list[list[int]]:
    """Return the token ids of each source, prefix and marks included, of any length.

    Args:
        tokenizer: Of the source; it puts the end mark behind a text by itself.
        texts: Sources.
        text_format: What is done to them first.
    """
    if not len(texts):
        return []
    set_languages(tokenizer, text_format)
    # Never cut here: who cuts must know what is lost.
    return tokenizer([text_format.read(text) for text in texts], truncation=False, verbose=False)["input_ids"]


def target_ids(tokenizer: Any, texts: Sequence[str], text_format: TextFormat) -> list[list[int]]:
    """Return the token ids of each target with its end mark: what the decoder has to write.

    ``text_target`` makes a tokenizer with two vocabularies (Marian) or with language codes (mBART, NLLB) take those of
    the target.

    Args:
        tokenizer: Of the target.
        texts: Targets.
        text_format: Says the languages.

    Raises:
        ModelError: when the tokenizer has no end mark, so that no text would ever end.
    """
    if not len(texts):
        return []
    set_languages(tokenizer, text_format)
    end = tokenizer.eos_token_id
    if end is None:
        raise ModelError(
            f"The tokenizer ({type(tokenizer).__name__}) has no end mark, so the model could not learn where a text "
            "ends. Set one (tokenizer.eos_token) and save the tokenizer with the model."
        )
    rows = tokenizer(text_target=list(texts), truncation=False, verbose=False)["input_ids"]
    return [row if end in row else [*row, end] for row in rows]


def shortened(ids: list[int], limit: int, special_ids: frozenset[int]) -> list[int]:
    """Return at most `limit` tokens; the marks at the end (end of sentence, language) stay.

    Args:
        ids: Of one text.
        limit: Most tokens.
        special_ids: Of the tokenizer.
    """
    if len(ids) <= limit:
        return ids
    tail = 0
    while tail < len(ids) and ids[-1 - tail] in special_ids:
        tail += 1
    tail = min(tail, limit - 1)
    return [*ids[: limit - tail], *ids[len(ids) - tail :]]


def set_languages(tokenizer: Any, text_format: TextFormat) -> None:
    """Tell a multilingual tokenizer the languages; a tokenizer is shared, so this stands before every use."""
    for name, code in (("src_lang", text_format.source_language), ("tgt_lang", text_format.target_language)):
        if code is not None and getattr(tokenizer, name, None) != code:
            setattr(tokenizer, name, code)


def language_code(tokenizer: Any, language: str | None) -> str | None:
    """Return the code by which a multilingual tokenizer knows a language, None for a tokenizer without languages.

    Args:
        tokenizer: Any.
        language: The tokenizer's own code (``de_DE``, ``deu_Latn``), or the beginning of exactly one (``de``).

    Raises:
        ConfigError: when the tokenizer needs a code and does not know this one, or knows several.
    """
    codes = language_codes(tokenizer)
    if not codes:
        return None
    if language in codes:
        return language
    matching = [code for code in codes if language and re.split(r"[_-]", code)[0] == language]
    if len(matching) == 1:
        return matching[0]
    what = f"knows several of them: {', '.join(matching)}" if matching else "does not know it"
    raise ConfigError(
        f"This model writes several languages and needs the codes of two; {language!r} is none, the tokenizer {what}."
        f"{did_you_mean(str(language), codes)} Name them with --source_code and --target_code; it has "
        f"{', '.join(codes[:8])}{', …' if len(codes) > 8 else ''}."
    )


def language_codes(tokenizer: Any) -> list[str]:
    """Return the language codes of a multilingual tokenizer (mBART, M2M100, NLLB), none for others."""
    if not hasattr(tokenizer, "src_lang") or not hasattr(tokenizer, "tgt_lang"):
        return []
    known = getattr(tokenizer, "lang_code_to_id", None) or getattr(tokenizer, "lang_code_to_token", None)
    if known:
        return sorted(known)
    marks = set(tokenizer.all_special_tokens) | set(tokenizer.get_added_vocab())
    return sorted(mark for mark in marks if re.fullmatch(r"[a-z]{2,3}_[A-Z][A-Za-z]{1,3}", mark))


def never_written(tokenizer: Any, needed: Sequence[int | None]) -> list[int]:
    """Return the ids of the marks that stand in no target: training gives them some small probability each.

    Args:
        tokenizer: Of the target.
        needed: Ids that a target may hold all the same, such as the mark with which BART's targets begin.
    """
    marks = {tokenizer.pad_token_id, tokenizer.mask_token_id, tokenizer.bos_token_id}
    return sorted(marks - {None, tokenizer.eos_token_id, tokenizer.unk_token_id, *needed})
