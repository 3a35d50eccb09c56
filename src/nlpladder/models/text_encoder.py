"""A text encoder as a user holds it: a pretrained encoder without a head, its tokenizer, and how states are pooled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from nlpladder.errors import ConfigError, DataError, ModelError
from nlpladder.models.model_with_tokenizer import ModelWithTokenizer
from nlpladder.models.saved_files import ADAPTER_CONFIG_NAME, CONFIG_NAME, check_tokenizer_files, read_settings
from nlpladder.models.sentence_pooling import ENCODERS, Pooling, no_encoder, read_pooling, write_pooling
from nlpladder.models.sequence_classifier import usable_length
from nlpladder.models.targets import check_texts
from nlpladder.models.text_windows import check_tokenizer
from nlpladder.protocols import FloatArray

#: Padded tokens of one forward pass: on a CPU their activations should stay in its cache.
_CPU_TOKENS_AT_ONCE, _ACCELERATOR_TOKENS_AT_ONCE = 2048, 65_536


class SentenceEncoder(ModelWithTokenizer):
    """Wraps an encoder of transformers without a head (``BertModel``, ``MPNetModel``, …) with its fast tokenizer.

    It implements `nlpladder.protocols.TextEncoder`. The vectors of a sentence-transformers folder are those of
    sentence-transformers: the same pooling, cut, prompt and length, read from its files. Equal texts are read once, and
    texts of similar length together.

    Args:
        model: Takes ``input_ids`` and ``attention_mask``, returns ``last_hidden_state`` (batch, tokens, width).
        tokenizer: A ``PreTrainedTokenizerFast``.
        pooling: How states become a vector; by default the mean over all tokens, special ones included.
        tokens_per_batch: Padded tokens of one forward pass; by default as many as suit the device.

    Raises:
        ModelError: The tokenizer is written in Python, or has ids for which the model has no embedding.
        ConfigError: `tokens_per_batch` is not above 0.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, pooling: Pooling | None = None, tokens_per_batch: int | None = None
    ) -> None:
        check_tokenizer(tokenizer)
        if tokens_per_batch is not None and tokens_per_batch < 1:
            raise ConfigError(f"tokens_per_batch is {tokens_per_batch}; it must be at least 1, or be left out.")
        rows = int(model.get_input_embeddings().weight.shape[0])
        highest = max(tokenizer.get_vocab().values(), default=-1)
        if highest >= rows:
            raise ModelError(
                f"The tokenizer has ids up to {highest}, but the model's embedding has {rows} rows (ids 0 to "
                f"{rows - 1}): they do not belong together. Load both from one folder."
            )
        self.model = model
        self.tokenizer = tokenizer
        self.pooling = pooling or Pooling()
        self.max_length = usable_length(model, tokenizer, self.pooling.max_length)
        self._tokens_per_batch = tokens_per_batch

    @property
    def tokens_per_batch(self) -> int:
        """Padded tokens of one forward pass."""
        if self._tokens_per_batch is not None:
            return self._tokens_per_batch
        on_cpu = next(self.model.parameters()).device.type == "cpu"
        return _CPU_TOKENS_AT_ONCE if on_cpu else _ACCELERATOR_TOKENS_AT_ONCE

    @property
    def vector_size(self) -> int:
        """Numbers of a vector."""
        return int(self.model.config.hidden_size) * len(self.pooling.modes)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return one vector a text; a text that is longer than `max_length` tokens is cut, as sentence-transformers do.

        Args:
            texts: Any number; equal ones are read once.

        Returns:
            Shape (texts, vector_size), float32.

        Raises:
            DataError: An entry is no string, or has no tokens at all.
        """
        import numpy as np

        from nlpladder.models.pooled_states import pooled_states

        texts = check_texts(texts)
        if not texts:
            return np.zeros((0, self.vector_size), dtype=np.float32)
        row = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        written = [self._written(text) for text in row]
        ids = self.tokenizer(written, truncation=True, max_length=self.max_length, verbose=False)["input_ids"]
        for text, found in zip(row, ids, strict=True):
            if not len(found):
                raise DataError(f"The text {text!r} has no tokens, so it has no vector. Leave empty texts out.")
        with self.evaluating():
            vectors = pooled_states(
                self.model, ids, self.pooling, pad_id=self._pad_id, tokens_per_batch=self.tokens_per_batch
            )
        return vectors[[row[text] for text in texts]]

    def encode_in_context(self, texts: Sequence[str], spans: Sequence[tuple[int, int]]) -> FloatArray:
        """Return one vector a span of a text: the mean of the last layer's states over the pieces of that span.

        The prompt of the pooling, its small letters and its normalisation are for whole texts: none is used here.

        Args:
            texts: Any number.
            spans: Begin and end in characters, one a text.

        Returns:
            Shape (texts, width), float32.

        Raises:
            DataError: There is not one span a text, or a span holds no piece in the first `max_length` tokens.
        """
        from nlpladder.models.masked_scoring import mean_states

        texts = check_texts(texts)
        if len(texts) != len(spans):
            raise DataError(f"There are {len(texts)} texts but {len(spans)} spans; each text needs one.")
        distinct = list(dict.fromkeys(texts))
        # Lone halves of surrogate pairs are no Unicode text; each becomes one character, so that the offsets hold.
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in distinct]
        found = self.tokenizer(
            clean, truncation=True, max_length=self.max_length, return_offsets_mapping=True,
            return_special_tokens_mask=True, verbose=False,
        ) if clean else {"input_ids": [], "offset_mapping": [], "special_tokens_mask": []}  # fmt: skip
        number = {text: place for place, text in enumerate(distinct)}
        wanted: dict[tuple[int, tuple[bool, ...]], int] = {}
        rows = []
        for text, (begin, end) in zip(texts, spans, strict=True):
            place = number[text]
            marks, offsets = found["special_tokens_mask"][place], found["offset_mapping"][place]
            kept = tuple(
                not special and first < end and last > begin
                for special, (first, last) in zip(marks, offsets, strict=True)
            )
            if not any(kept):
                raise DataError(
                    f"No token of the first {self.max_length} stands at characters {begin} to {end} of {text[:60]!r}."
                )
            rows.append(wanted.setdefault((place, kept), len(wanted)))
        with self.evaluating():
            vectors = mean_states(
                self.model, [found["input_ids"][place] for place, _ in wanted], [kept for _, kept in wanted],
                pad_id=self._pad_id, tokens_per_batch=self.tokens_per_batch,
            )  # fmt: skip
        return vectors[rows]

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike[str],
        *,
        pooling: Pooling | None = None,
        tokens_per_batch: int | None = None,
        **arguments: Any,
    ) -> Self:
        """Load from a folder or a Hub id.

        Args:
            path: An encoder without a head, with safetensors weights and a fast tokenizer.
            pooling: Instead of what the folder says; see `nlpladder.models.sentence_pooling.read_pooling`.
            tokens_per_batch: See the class.
            arguments: Passed on to ``from_pretrained`` (revision, token, cache_dir, …).

        Raises:
            ModelError: Something is missing, damaged, or does not fit; or it is no encoder.
        """
        from nlpladder.models.pretrained.loading import check_reachable, explain_loading_error, quiet_loading
        from nlpladder.models.safe_folders import model_folder

        path = os.fspath(path)
        check_reachable(path)
        try:
            with quiet_loading(), model_folder(path, arguments) as (folder, settings):
                _check_is_encoder(Path(folder), path)
                chosen = pooling or read_pooling(folder)
                model, tokenizer = _open(folder, settings)
        except Exception as error:
            raise explain_loading_error(path, error) from error
        return cls(model, tokenizer, pooling=chosen, tokens_per_batch=tokens_per_batch)

    def _write_settings(self, folder: Path) -> None:
        """Write the pooling: without it, sentence-transformers would take another one."""
        write_pooling(self.pooling, folder, width=int(self.model.config.hidden_size))

    @property
    def _pad_id(self) -> int:
        # Padding is masked out: any id does where a tokenizer has none of its own.
        return int(self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0)

    def _written(self, text: str) -> str:
        """Return what the tokenizer is given for a text, as sentence-transformers writes it."""
        clean = (self.pooling.prompt + text).encode("utf-8", "replace").decode("utf-8").strip()
        return clean.lower() if self.pooling.lower_case else clean


def _check_is_encoder(folder: Path, name: str) -> None:
    """Refuse what has no vectors of texts, before anything is built."""
    if (folder / ADAPTER_CONFIG_NAME).is_file():
        task = read_settings(folder / ADAPTER_CONFIG_NAME).get("task_type")
        raise ModelError(
            f"{name} is an adapter for the task {str(task)[:40]}, which nlpladder does not open. Merge it into its "
            "base with peft (merge_and_unload), save that, and load the result."
        )
    config = read_settings(folder / CONFIG_NAME) if (folder / CONFIG_NAME).is_file() else {}
    what = no_encoder(config)
    if what:
        named = config.get("architectures")
        built = str(named[0]) if isinstance(named, list) and named else str(config.get("model_type"))
        raise ModelError(
            f"{name} is {what} ({built}): it neither writes nor classifies, and its states were not made to be vectors "
            "of texts. Load the folder that has the head (such as GPT2LMHeadModel or T5ForConditionalGeneration). "
            f"Encoders are: {', '.join(sorted(ENCODERS))}."
        )


def _open(folder: str, arguments: dict[str, Any]) -> tuple[Any, Any]:
    """Return the model in evaluation mode (float32) and its tokenizer, nothing in it random."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    from nlpladder.models.pretrained.loading import check_weight_files, mismatched_keys, weights_as_saved
    from nlpladder.models.saved_sizes import check_vocabulary

    check_weight_files(folder)
    check_tokenizer_files(folder)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, **arguments)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **arguments)
    model, info = AutoModel.from_pretrained(
        folder, config=config, output_loading_info=True, **weights_as_saved("masked"), **arguments
    )
    if other := sorted(mismatched_keys(info)):
        raise ModelError(
            f"The weights in {folder} do not fit its config.json: {other[0]} is of another shape. Was one of the two "
            "replaced? Save or download the model again."
        )
    lacking = sorted(str(key) for key in info["missing_keys"])
    if lacking and all(key.startswith("pooler.") for key in lacking):
        # The layer behind the first token's state, which pre-training on next sentences used: no vector here needs it,
        # and encoders that were trained otherwise are saved without it.
        model.pooler = None
    elif lacking:
        raise ModelError(
            f"{folder} holds no weights for {', '.join(lacking[:3])}: its architecture is not a "
            f"{type(model).__name__}, or the file is not whole. Left as they are, they would be random."
        )
    check_vocabulary(tokenizer.vocab_size, int(model.get_input_embeddings().weight.shape[0]), name=folder)
    return model.eval(), tokenizer
