"""A masked language model as a user holds it: model and tokenizer together, gaps in texts in, probabilities out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from nlpladder.errors import ConfigError, DataError, ModelError
from nlpladder.models.model_with_tokenizer import ModelWithTokenizer
from nlpladder.models.sequence_classifier import usable_length
from nlpladder.models.targets import check_texts
from nlpladder.models.text_windows import check_tokenizer
from nlpladder.protocols import EncodedText, FloatArray, MaskedQuery

if TYPE_CHECKING:
    from nlpladder.models.masked_scoring import Precision

#: Padded tokens of one forward pass: on a CPU their activations should stay in its cache.
_CPU_TOKENS_AT_ONCE = 2048
_ACCELERATOR_TOKENS_AT_ONCE = 65_536


class MaskedLM(ModelWithTokenizer):
    """Wraps any ``…ForMaskedLM`` of transformers (BERT, RoBERTa, DistilBERT, ALBERT, …) with its fast tokenizer.

    It implements `nlpladder.protocols.MaskedLanguageModel` and `nlpladder.protocols.TextEncoder`. All questions of one
    call are answered together: those that read the same input are read once, inputs of similar length share a forward
    pass, and only the wanted positions reach the output layer. The answers are those of one question at a time, up to
    float32's rounding.

    Args:
        model: Takes ``input_ids`` and ``attention_mask``, returns ``logits`` (batch, tokens, vocabulary).
        tokenizer: A ``PreTrainedTokenizerFast`` with a mask token.
        max_length: Tokens of a text, special ones included; by default what model and tokenizer take, at most 512.
        tokens_per_batch: Padded tokens of one forward pass; by default as many as suit the device.
        precision: ``float32``, or ``bfloat16`` for the layers below the output layer. Half of the digits are gone
            then: measures that compare two close sentences should keep float32.

    Raises:
        ModelError: The tokenizer has no mask token, is written in Python, or does not belong to the model.
        ConfigError: A limit is not above 0, or the precision is unknown.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        max_length: int | None = None,
        tokens_per_batch: int | None = None,
        precision: Precision = "float32",
    ) -> None:
        check_tokenizer(tokenizer)
        if tokenizer.mask_token_id is None:
            raise ModelError(
                "The tokenizer has no mask token, so the model cannot be asked for hidden words. Is it that of a "
                "masked language model (BERT, RoBERTa, …)?"
            )
        if precision not in ("float32", "bfloat16"):
            raise ConfigError(f"precision is {precision!r}; choose 'float32' or 'bfloat16'.")
        for name, value in (("max_length", max_length), ("tokens_per_batch", tokens_per_batch)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1, or be left out.")
        rows = int(model.get_input_embeddings().weight.shape[0])
        highest = max(tokenizer.get_vocab().values(), default=-1)
        if highest >= rows:
            raise ModelError(
                f"The tokenizer has ids up to {highest}, but the model's embedding has {rows} rows (ids 0 to "
                f"{rows - 1}): they do not belong together. Load both from one folder."
            )
        self.model = model
        self.tokenizer = tokenizer
        self.max_length = usable_length(model, tokenizer, max_length)
        self.precision: Precision = precision
        self._tokens_per_batch = tokens_per_batch

    @property
    def tokens_per_batch(self) -> int:
        """Padded tokens of one forward pass."""
        if self._tokens_per_batch is not None:
            return self._tokens_per_batch
        on_cpu = next(self.model.parameters()).device.type == "cpu"
        return _CPU_TOKENS_AT_ONCE if on_cpu else _ACCELERATOR_TOKENS_AT_ONCE

    def encode(self, text: str) -> EncodedText:
        """Return the text as the model reads it, with its special tokens.

        Args:
            text: A text.

        Raises:
            DataError: It is no string, or longer than the model reads.
        """
        check_texts([text])
        # Lone halves of surrogate pairs are no Unicode text; each becomes one character, so that the offsets hold.
        clean = text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
        found = self.tokenizer(
            clean, return_offsets_mapping=True, return_special_tokens_mask=True, truncation=False, verbose=False
        )
        ids = tuple(int(one) for one in found["input_ids"])
        if len(ids) > self.max_length:
            raise DataError(
                f"The text {text[:60]!r}… has {len(ids)} tokens; the model reads {self.max_length}. Cut it, or take a "
                "model with more positions."
            )
        return EncodedText(
            token_ids=ids,
            tokens=tuple(self.tokenizer.convert_ids_to_tokens(list(ids))),
            offsets=tuple((int(begin), int(end)) for begin, end in found["offset_mapping"]),
            special=tuple(bool(one) for one in found["special_tokens_mask"]),
        )

    def query(self, queries: Sequence[MaskedQuery]) -> list[FloatArray]:
        """Return the natural log-probabilities of the wanted tokens of each query, shape (len(wanted),), in order.

        Args:
            queries: Any number; equal inputs are read once, whatever is wanted of them.

        Raises:
            DataError: A query is longer than the model reads, empty, or names a position that it has not.
        """
        from nlpladder.models.masked_scoring import score_positions

        mask_id = int(self.tokenizer.mask_token_id)
        numbers: dict[tuple[int, ...], int] = {}
        wanted: list[list[tuple[int, int]]] = []
        places: list[tuple[int, int]] = []  # of each query: its input, its first wanted token there
        for number, query in enumerate(queries):
            self._check(number, query)
            ids = list(query.token_ids)
            for position in query.hidden:
                ids[position] = mask_id
            row = numbers.setdefault(tuple(ids), len(numbers))
            if row == len(wanted):
                wanted.append([])
            places.append((row, len(wanted[row])))
            wanted[row].extend((position, query.token_ids[position]) for position in query.wanted)
        with self.evaluating():
            found = score_positions(
                self.model, list(numbers), wanted, pad_id=self._pad_id, tokens_per_batch=self.tokens_per_batch,
                precision=self.precision,
            )  # fmt: skip
        return [
            found[row][first : first + len(query.wanted)] for (row, first), query in zip(places, queries, strict=True)
        ]

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return one vector a text: the mean of the last layer's states over its pieces, special tokens left out.

        Args:
            texts: Any number; equal ones are read once.

        Returns:
            Shape (texts, width), float32.

        Raises:
            DataError: A text is longer than the model reads, or has no pieces at all.
        """
        texts = check_texts(texts)
        encoded = {text: self.encode(text) for text in dict.fromkeys(texts)}
        kept = {text: tuple(not special for special in one.special) for text, one in encoded.items()}
        for text, pieces in kept.items():
            if not any(pieces):
                raise DataError(f"The text {text!r} has no tokens, so it has no vector. Leave empty texts out.")
        return self._means([(encoded[text].token_ids, kept[text]) for text in texts])

    def encode_in_context(self, texts: Sequence[str], spans: Sequence[tuple[int, int]]) -> FloatArray:
        """Return one vector a span of a text: the mean of the last layer's states over the pieces of that span.

        Args:
            texts: Any number.
            spans: Begin and end in characters, one a text.

        Returns:
            Shape (texts, width), float32.

        Raises:
            DataError: There is not one span a text, a text is too long, or a span holds no piece.
        """
        texts = check_texts(texts)
        if len(texts) != len(spans):
            raise DataError(f"There are {len(texts)} texts but {len(spans)} spans; each text needs one.")
        encoded = {text: self.encode(text) for text in dict.fromkeys(texts)}
        wanted = []
        for text, (begin, end) in zip(texts, spans, strict=True):
            one = encoded[text]
            kept = tuple(
                not special and first < end and last > begin
                for special, (first, last) in zip(one.special, one.offsets, strict=True)
            )
            if not any(kept):
                raise DataError(f"No token stands at characters {begin} to {end} of {text[:60]!r}.")
            wanted.append((one.token_ids, kept))
        return self._means(wanted)

    def attention_received(self, inputs: Sequence[tuple[int, ...]]) -> list[FloatArray]:
        """Return how much attention each token of each input receives, (tokens,), nothing hidden.

        It is the mean over layers, heads and attending tokens, as AULA takes it (Kaneko and Bollegala 2022,
        "Unmasking the mask", equation 5), and sums to 1.

        Args:
            inputs: Token ids with special tokens, from `encode`.

        Raises:
            ModelError: The model does not return its attention weights.
        """
        from nlpladder.models.masked_scoring import attention_received

        distinct = list(dict.fromkeys(map(tuple, inputs)))
        with self.evaluating():
            found = attention_received(
                self.model, distinct, pad_id=self._pad_id, tokens_per_batch=self.tokens_per_batch
            )
        rows = {ids: row for row, ids in enumerate(distinct)}
        return [found[rows[tuple(ids)]] for ids in inputs]

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike[str],
        *,
        base_model: str | None = None,
        max_length: int | None = None,
        tokens_per_batch: int | None = None,
        precision: Precision = "float32",
        **arguments: Any,
    ) -> Self:
        """Load from a folder or a Hub id.

        Args:
            path: Any masked language model with safetensors weights and a fast tokenizer, or an adapter for one.
            base_model: Where an adapter's base lies, when it has moved.
            max_length: See the class.
            tokens_per_batch: See the class.
            precision: See the class.
            arguments: Passed on to ``from_pretrained`` (revision, token, cache_dir, …).

        Raises:
            ModelError: Something is missing, damaged, or does not fit; a discriminator (ELECTRA) fills no gaps.
        """
        from nlpladder.models.pretrained.loading import load_model

        model, tokenizer = load_model(path, head="masked", base_model=base_model, **arguments)
        return cls(model, tokenizer, max_length=max_length, tokens_per_batch=tokens_per_batch, precision=precision)

    @property
    def _pad_id(self) -> int:
        # Padding is masked out: any id does where a tokenizer has none of its own.
        return int(self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0)

    def _means(self, wanted: Sequence[tuple[tuple[int, ...], tuple[bool, ...]]]) -> FloatArray:
        """Return the mean states over the kept tokens of each input; equal ones are read once."""
        from nlpladder.models.masked_scoring import mean_states

        rows = {one: row for row, one in enumerate(dict.fromkeys(wanted))}
        with self.evaluating():
            vectors = mean_states(
                self.model, [ids for ids, _ in rows], [kept for _, kept in rows], pad_id=self._pad_id,
                tokens_per_batch=self.tokens_per_batch,
            )  # fmt: skip
        return vectors[[rows[one] for one in wanted]]

    def _check(self, number: int, query: MaskedQuery) -> None:
        length = len(query.token_ids)
        if not 0 < length <= self.max_length:
            raise DataError(
                f"Query {number} (counted from 0) has {length} tokens; the model reads 1 to {self.max_length}."
            )
        for position in (*query.hidden, *query.wanted):
            if not 0 <= position < length:
                raise DataError(
                    f"Query {number} (counted from 0) names position {position}, but its {length} tokens stand at 0 to "
                    f"{length - 1}."
                )
