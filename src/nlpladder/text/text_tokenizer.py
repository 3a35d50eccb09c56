"""Text to tokens and back, as a value that a model saves with itself.

A model that was trained on tokens answers a typed sentence only if the same tokenisation travels with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from nlpladder.errors import ConfigError, did_you_mean
from nlpladder.text.tokenization import word_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TokenizerMethod = Literal["whitespace", "regex", "treebank", "tweet", "char", "subword"]

#: What separates tokens, in files and in memory: KenLM's set, so that both see the same words.
SEPARATORS = "\0\t\n\r "
_SEPARATOR_RUN = re.compile(f"[{SEPARATORS}]+")
#: Stands for a blank where blanks are tokens or parts of tokens (Kudo & Richardson 2018, SentencePiece).
BLANK = "\u2581"


class TextTokenizer:
    """Splits text into tokens, and joins tokens to text.

    Args:
        method: ``whitespace`` splits at NUL, tab, newline, carriage return and space only, as KenLM does; ``regex``,
            ``treebank`` and ``tweet`` are the word tokenisers of `nlpladder.text.tokenization`; ``char`` gives single
            characters, with blanks as "▁"; ``subword`` asks a Hugging Face tokenizer.
        lowercase: Lower-case the text first.
        subword: The tokenizer for ``subword``; its special tokens are not added.

    Raises:
        ConfigError: for an unknown method, or ``subword`` without a tokenizer.
    """

    def __init__(
        self,
        method: TokenizerMethod = "whitespace",
        *,
        lowercase: bool = False,
        subword: PreTrainedTokenizerBase | None = None,
    ) -> None:
        methods = get_args(TokenizerMethod)
        if method not in methods:
            raise ConfigError(
                f"Unknown tokenizer method {method!r}.{did_you_mean(method, methods)} Known: {', '.join(methods)}."
            )
        if (method == "subword") != (subword is not None):
            raise ConfigError("The method 'subword' needs a Hugging Face tokenizer, and only that method takes one.")
        self.method: TokenizerMethod = method
        self.lowercase = lowercase
        self.subword: Any = subword
        self._split = None if method in ("whitespace", "char", "subword") else word_tokenizer(method)  # type: ignore[arg-type]

    @classmethod
    def from_pretrained(cls, path_or_repo_id: str, *, lowercase: bool = False) -> Self:
        """Return the sub-word tokenizer of a folder or Hub id."""
        from transformers import AutoTokenizer

        return cls("subword", lowercase=lowercase, subword=AutoTokenizer.from_pretrained(path_or_repo_id))

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of `text`; none of them holds a separator."""
        return self.tokenize_batch([text])[0]

    def tokenize_batch(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the tokens of each text."""
        if self.lowercase:
            texts = [text.lower() for text in texts]
        if self.method == "whitespace":
            return [[token for token in _SEPARATOR_RUN.split(text) if token] for text in texts]
        if self.method == "char":
            return [[BLANK if token in SEPARATORS else token for token in text.strip(SEPARATORS)] for text in texts]
        if self.method == "subword":
            encoded = self.subword(list(texts), add_special_tokens=False)["input_ids"]
            return [[_whole(token) for token in self.subword.convert_ids_to_tokens(ids)] for ids in encoded]
        assert self._split is not None
        return [[_whole(token) for token in self._split(text)] for text in texts]

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Return text for `tokens`: exact for ``char`` and reversible sub-words, words joined by blanks otherwise."""
        if self.method == "char":
            return "".join(tokens).replace(BLANK, " ")
        if self.method == "subword":
            return str(self.subword.convert_tokens_to_string(list(tokens)))
        return " ".join(tokens)

    def to_config(self) -> dict[str, Any]:
        """Return json-able settings; a sub-word tokenizer is embedded whole."""
        config: dict[str, Any] = {"method": self.method, "lowercase": self.lowercase}
        if self.subword is not None:
            config["tokenizer_json"] = json.loads(self.subword.backend_tokenizer.to_str())
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Rebuild the tokenizer from `to_config`."""
        subword = None
        if "tokenizer_json" in config:
            from tokenizers import Tokenizer
            from transformers import PreTrainedTokenizerFast

            subword = PreTrainedTokenizerFast(
                tokenizer_object=Tokenizer.from_str(json.dumps(config["tokenizer_json"])),
                clean_up_tokenization_spaces=False,
            )
        return cls(config["method"], lowercase=bool(config["lowercase"]), subword=subword)


def _whole(token: str) -> str:
    """Return `token` with "▁" for every separator inside, so that it stays one token in a line of tokens."""
    return _SEPARATOR_RUN.sub(BLANK, token)
