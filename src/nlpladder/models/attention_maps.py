"""Attention weights of any opened model, with the tokens they belong to: encoders, causal models, encoder-decoders.

Fused attention kernels give no weights away, so the model computes by plain products for one pass (``eager``) and has
its kernel back afterwards. What the weights mean is another question: "attention is not explanation" (Jain and Wallace
2019) and "Attention is not not explanation" (Wiegreffe and Pinter 2019).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError, ModelError
from nlpladder.models.evaluating import evaluating
from nlpladder.models.targets import check_texts

if TYPE_CHECKING:
    from nlpladder.models.translation import Translator

Float = npt.NDArray[np.float32]

#: What each kind of map shows, in words.
KINDS: dict[str, str] = {
    "self": "each token (row) reads all tokens (columns)",
    "causal": "each token (row) reads the tokens before it and itself (columns)",
    "encoder": "each source token (row) reads the source (columns)",
    "decoder": "the step that writes a token (row) reads what was written before (columns)",
    "cross": "the step that writes a token (row) reads the source (columns)",
    "pooling": "the weight of each token (column) in the one vector that is classified",
}


@dataclass(frozen=True)
class AttentionMap:
    """The attention weights of one part of a model for one input.

    Attributes:
        kind: A key of `KINDS`.
        weights: Shape (layers, heads, rows, columns); each row sums to 1.
        rows: Tokens that read.
        columns: Tokens that are read.
        special_rows: Whether a row is of a mark that the model adds (start, separator, learnt prompt).
        special_columns: The same of the columns.
    """

    kind: str
    weights: Float
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    special_rows: tuple[bool, ...]
    special_columns: tuple[bool, ...]

    def chosen(self, *, layer: int | None = None, head: int | None = None) -> Float:
        """Return one map (rows, columns): of a layer and head, or the mean over all of them for None.

        Args:
            layer: From 0.
            head: From 0.

        Raises:
            DataError: There is no such layer or head.
        """
        layers, heads = self.weights.shape[:2]
        for name, number, count in (("layer", layer, layers), ("head", head, heads)):
            if number is not None and not 0 <= number < count:
                raise DataError(f"There is no {name} {number}: the model has {count}, counted from 0.")
        found = self.weights if layer is None else self.weights[layer : layer + 1]
        found = found if head is None else found[:, head : head + 1]
        return found.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)

    def without_special(self) -> AttentionMap:
        """Return the map without the tokens that the model adds; its rows no longer sum to 1."""
        rows = [place for place, special in enumerate(self.special_rows) if not special]
        columns = [place for place, special in enumerate(self.special_columns) if not special]
        return replace(
            self,
            weights=self.weights[:, :, rows][:, :, :, columns],
            rows=tuple(self.rows[place] for place in rows),
            columns=tuple(self.columns[place] for place in columns),
            special_rows=(False,) * len(rows),
            special_columns=(False,) * len(columns),
        )


def attention_maps(
    model: Any, text: str, second: str | None = None, *, max_tokens: int | None = None
) -> dict[str, AttentionMap]:
    """Return all attention weights of a model for a text.

    Args:
        model: What ``nlpladder.load`` returned.
        text: One text; a question for a question answerer, the source for a translator.
        second: The context of a question; the translation of a source, which the model makes itself if not given.
        max_tokens: Most tokens of each text, special ones included; None for what the model reads.

    Returns:
        Maps by kind; see `KINDS`.

    Raises:
        ModelError: The model has no attention weights.
        DataError: A text is too long, empty, or missing.
    """
    (text,) = check_texts([text])
    name = type(model).__name__
    if name == "Translator":
        return _of_translator(model, text, second, max_tokens)
    if name == "NeuralLanguageModel":
        (encoded,) = model.encoder.encode([text])
        ids = [model.encoder.begin_id, *(int(one) for one in encoded.ids)]
        tokens = [model.encoder.begin_name, *encoded.tokens[: len(encoded.ids)]]
        special = [True, *[False] * len(encoded.ids)]
        limit = model.context_window
    elif name in ("SequenceClassifier", "TokenClassifier", "MaskedLM", "SentenceEncoder", "QuestionAnswerer"):
        if name == "QuestionAnswerer" and second is None:
            raise DataError("A question answerer reads a question and a context; the context is missing.")
        pair = (text, second) if name == "QuestionAnswerer" else (text,)
        encoded = model.tokenizer(*pair, truncation=False, return_special_tokens_mask=True, verbose=False)
        ids = [int(one) for one in encoded["input_ids"]]
        tokens = [str(one) for one in model.tokenizer.convert_ids_to_tokens(ids)]
        special = [bool(one) for one in encoded["special_tokens_mask"]]
        limit = model.max_length
        inputs = {"token_type_ids": encoded["token_type_ids"]} if "token_type_ids" in encoded else {}
        return _of_one_stack(model, ids, tokens, special, inputs, _limit(limit, max_tokens), "self")
    else:
        raise _without_attention(name)
    return _of_one_stack(model, ids, tokens, special, {}, _limit(limit, max_tokens), "causal")


def _limit(own: int | None, wanted: int | None) -> int | None:
    return min((one for one in (own, wanted) if one is not None), default=None)


def _of_one_stack(
    holder: Any,
    ids: list[int],
    tokens: Sequence[str],
    special: Sequence[bool],
    inputs: dict[str, Any],
    limit: int | None,
    kind: str,
) -> dict[str, AttentionMap]:
    """Return the maps of a model with one stack of layers, and of the pooling behind it."""
    import torch

    _check_length(len(ids), limit, "The text")
    model = holder.model
    device = next(model.parameters()).device
    batch = {
        "input_ids": torch.tensor([ids], device=device),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.long, device=device),
        **{name: torch.tensor([values], device=device) for name, values in inputs.items()},
    }
    more = {"use_cache": False} if kind == "causal" else {}
    own_classifier = str(model.config.model_type).startswith("nlpladder_") and kind == "self"
    pooled: tuple[Any, ...] = ()
    with _reading(model):
        output = model(**batch, output_attentions=True, **more)
        if own_classifier:  # which give the weights of their pooling where nobody asks for those of layers
            pooled = model(**batch).attentions or ()
    found = {}
    layers = [one for one in _layers_of(output) if one.ndim == 4]
    if layers:
        weights = torch.stack([one[0] for one in layers]).float().cpu().numpy()
        rows, row_marks = _with_prompts(tokens, special, weights.shape[2])
        columns, column_marks = _with_prompts(tokens, special, weights.shape[3])
        found[kind] = AttentionMap(kind, weights, rows, columns, row_marks, column_marks)
    flat = [one for one in pooled if one is not None and one.ndim == 2]
    if flat:
        weights = flat[-1][0].float().cpu().numpy()[None, None, None, :]
        found["pooling"] = AttentionMap("pooling", weights, ("text",), tuple(tokens), (False,), tuple(special))
    if not found:
        raise _without_attention(type(model).__name__)
    return found


def _layers_of(output: Any) -> list[Any]:
    """Return the weights of the layers that have some: in mixed models some layers have none."""
    layers = getattr(output, "attentions", None)
    return [one for one in layers or () if one is not None]


def _with_prompts(
    tokens: Sequence[str], special: Sequence[bool], length: int
) -> tuple[tuple[str, ...], tuple[bool, ...]]:
    """Return the labels of an axis, which begins with the learnt vectors of a prompt or prefix adapter."""
    extra = length - len(tokens)
    prompts = [f"[prompt {number}]" for number in range(1, extra + 1)]
    return (*prompts, *tokens), (*[True] * max(0, extra), *special)


def _of_translator(
    translator: Translator, text: str, second: str | None, max_tokens: int | None
) -> dict[str, AttentionMap]:
    """Return the maps of an encoder-decoder, teacher-forced."""
    from nlpladder.models.translation_search import all_attentions

    if not text.strip():
        raise DataError("The text is empty, so there is nothing to attend to.")
    if not translator._has_attention():
        raise _without_attention(type(translator.model).__name__)
    (source,) = translator.source_ids([text])
    limit = _limit(getattr(translator.model.config, "max_position_embeddings", None), max_tokens)
    _check_length(len(source), limit, "The source")
    if second is None:
        (written,) = translator.translate([text], num_beams=1, alignments=False, max_new_tokens=max_tokens)
        target = [int(one) for one in translator.target_tokenizer.convert_tokens_to_ids(list(written.target_tokens))]
    else:
        (target,) = translator.target_ids([second])
        _check_length(len(target), limit, "The translation")
    if not target:
        raise DataError("The model writes nothing for this text, so no step attends to it.")
    found = all_attentions(translator.model, source, target)
    if not found:
        raise _without_attention(type(translator.model).__name__)
    read, written_marks = _named(translator.tokenizer, source), _named(translator.target_tokenizer, target)
    start = (("[start]", *written_marks[0][:-1]), (True, *written_marks[1][:-1]))
    axes = {"encoder": (read, read), "decoder": (written_marks, start), "cross": (written_marks, read)}
    maps = {}
    for kind, weights in found.items():
        (rows, row_marks), (columns, column_marks) = axes[kind]
        rows, row_marks = _with_prompts(rows, row_marks, weights.shape[2])
        columns, column_marks = _with_prompts(columns, column_marks, weights.shape[3])
        maps[kind] = AttentionMap(kind, weights, rows, columns, row_marks, column_marks)
    return maps


def _named(tokenizer: Any, ids: Sequence[int]) -> tuple[tuple[str, ...], tuple[bool, ...]]:
    unknown = tokenizer.unk_token_id
    marks = {int(one) for one in tokenizer.all_special_ids} - {unknown}
    return tuple(str(one) for one in tokenizer.convert_ids_to_tokens(list(ids))), tuple(one in marks for one in ids)


@contextlib.contextmanager
def _reading(model: Any) -> Iterator[None]:
    """Let a model read without gradients, in evaluation mode, by plain products; everything comes back afterwards."""
    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    kernel = getattr(inner.config, "_attn_implementation", None)
    exchanged = kernel not in (None, "eager") and getattr(inner, "_supports_sdpa", False)
    if exchanged:
        inner.set_attn_implementation("eager")
    try:
        with evaluating(model):
            yield
    finally:
        if exchanged:
            inner.set_attn_implementation(kernel)


def _check_length(length: int, limit: int | None, what: str) -> None:
    if not length:
        raise DataError(f"{what} has no tokens, so there is nothing to attend to.")
    if limit is not None and length > limit:
        raise DataError(f"{what} has {length} tokens; at most {limit} are shown. Shorten it.")


def _without_attention(name: str) -> ModelError:
    return ModelError(
        f"A {name} has no attention weights to show. Transformers, BERT and its family, GPT, T5, recurrent models with "
        "attention have."
    )
