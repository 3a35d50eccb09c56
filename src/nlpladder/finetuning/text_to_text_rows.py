"""From pairs of texts to token ids for one encoder-decoder, and from the targets to how long its answers may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlpladder.data.languages import language_of
from nlpladder.data.parallel import ParallelText
from nlpladder.errors import ConfigError
from nlpladder.finetuning.text_to_text_options import TextToTextOptions
from nlpladder.models.translation_encoding import TextFormat, language_code, shortened, source_ids, target_ids

if TYPE_CHECKING:
    from nlpladder.training.sequence_data import ParallelRows

#: Longest texts where neither the user nor the model sets a limit (T5 reads texts of any length).
MOST_TOKENS = 512


@dataclass(frozen=True)
class TextToTextRows:
    """Everything that training reads, and that stays with the model afterwards.

    Attributes:
        train: Token ids of the training pairs.
        validation: Those of the validation pairs.
        target_tokenizer: Of the target, None where one tokenizer does both.
        text_format: What is done to texts around the tokenizer.
        notes: What was cut, which prefixes the model knows; in sentences.
    """

    train: ParallelRows
    validation: ParallelRows
    target_tokenizer: Any
    text_format: TextFormat
    notes: tuple[str, ...]


def prepare_rows(
    model: Any,
    tokenizer: Any,
    data: ParallelText,
    options: TextToTextOptions,
    *,
    target_tokenizer: Any = None,
    lowercase: bool = False,
) -> TextToTextRows:
    """Encode the pairs as the model wants them, and set the model's generation config by the targets.

    Args:
        model: The pretrained encoder-decoder, before an adapter is put on it; its generation config is replaced.
        tokenizer: Of the source.
        data: Pairs with splits train and validation.
        options: Of the fine-tuning.
        target_tokenizer: Of the target, None for the same.
        lowercase: The pretrained model reads lower-cased sources.

    Raises:
        ConfigError: for a limit beyond the model's, or a language that its tokenizer does not know.
        ModelError: when the tokenizer has no end mark.
    """
    from nlpladder.training.sequence_data import ParallelRows

    writer = tokenizer if target_tokenizer is None else target_tokenizer
    text_format = _text_format(model, tokenizer, data, options, lowercase)
    source_limit = int(text_format.max_source_length or MOST_TOKENS)
    target_limit = _limit(model, "max_target_length", options.max_target_length)
    notes: list[str] = []
    rows: dict[str, ParallelRows] = {}
    for split in ("train", "validation"):
        pairs = data.splits[split]
        sources = source_ids(tokenizer, pairs.source, text_format)
        targets = target_ids(writer, pairs.target, text_format)
        notes += _cut_notes(split, sources, source_limit, targets, target_limit)
        rows[split] = ParallelRows(
            _cut(sources, source_limit, tokenizer), _cut(targets, target_limit, writer)
        )  # fmt: skip
    set_generation(model, writer, rows["train"], text_format, options)
    return TextToTextRows(
        rows["train"], rows["validation"], target_tokenizer, text_format, (*notes, *_prefix_notes(model, options))
    )


def set_generation(
    model: Any, tokenizer: Any, rows: ParallelRows, text_format: TextFormat, options: TextToTextOptions
) -> None:
    """Give the model a generation config by the training targets, so that it never stops at the default 20 tokens.

    The base's own settings (a shortest length, forbidden repetitions) were made for the base's task and go. An answer
    may be a quarter longer than the longest training target, at least 8 tokens. The mark with which the tokenizer
    begins every target (BART, mBART-50, NLLB) is forced; where the language stands behind a target instead
    (mBART-25), the decoder starts with it.

    Args:
        model: The encoder-decoder.
        tokenizer: Of the target.
        rows: Training pairs.
        text_format: Says the target language.
        options: Of the fine-tuning.
    """
    from transformers import GenerationConfig

    longest = int(rows.target.lengths.max())
    most = longest + max(8, longest // 4)
    positions = getattr(model.config, "max_position_embeddings", None)
    example = rows.target[0].tolist()
    special = set(tokenizer.all_special_ids)
    code = text_format.target_language
    mark = None if code is None else tokenizer.convert_tokens_to_ids(code)
    start = getattr(model.config, "decoder_start_token_id", None)
    if mark is not None and example[-1] == mark:
        start = mark
        model.config.decoder_start_token_id = start
    old = model.generation_config
    # An empty target is its end mark alone, which must not be forced.
    first = example[0] if example[0] in (special | {mark}) - {tokenizer.eos_token_id, tokenizer.unk_token_id} else None
    beams = {"num_beams": options.num_beams}
    if options.num_beams > 1:
        beams["length_penalty"] = options.length_penalty  # type: ignore[assignment]
    model.generation_config = GenerationConfig(
        max_new_tokens=min(most, positions - 1) if positions else most,
        decoder_start_token_id=start,
        forced_bos_token_id=first,
        bos_token_id=old.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=old.pad_token_id if old.pad_token_id is not None else tokenizer.pad_token_id,
        **beams,
    )


def _text_format(
    model: Any, tokenizer: Any, data: ParallelText, options: TextToTextOptions, lowercase: bool
) -> TextFormat:
    """Decide what is done to texts around the tokenizer."""
    source, target = data.languages
    is_translation = language_of(source) is not None and language_of(target) is not None
    return TextFormat(
        lowercase=lowercase,
        prefix=options.task_prefix,
        max_source_length=_limit(model, "max_source_length", options.max_source_length),
        cut_long_sources=options.long_sources == "cut" or (options.long_sources == "auto" and not is_translation),
        source_language=language_code(tokenizer, options.source_code or source),
        target_language=language_code(tokenizer, options.target_code or target),
    )


def _limit(model: Any, name: str, wanted: int | None) -> int:
    positions = getattr(model.config, "max_position_embeddings", None)
    if wanted is None:
        return min(positions or MOST_TOKENS, MOST_TOKENS)
    if positions and wanted > positions:
        raise ConfigError(f"{name} is {wanted}, but this model has {positions} positions: give at most that.")
    return wanted


def _cut(rows: Sequence[list[int]], limit: int, tokenizer: Any) -> list[list[int]]:
    special = frozenset(tokenizer.all_special_ids)
    return [shortened(row, limit, special) for row in rows]


def _cut_notes(
    split: str, sources: list[list[int]], source_limit: int, targets: list[list[int]], target_limit: int
) -> list[str]:
    notes = []
    for side, rows, limit in (("source", sources, source_limit), ("target", targets, target_limit)):
        long = sum(len(row) > limit for row in rows)
        if long:
            notes.append(
                f"{split}: {long:,} of {len(rows):,} {side}s are longer than {limit:,} tokens (the longest has "
                f"{max(map(len, rows)):,}) and were cut there; --max_{side}_length moves the limit."
            )
    return notes


def _prefix_notes(model: Any, options: TextToTextOptions) -> list[str]:
    """Propose the prefixes that T5 was trained with, where none is given."""
    known = getattr(model.config, "task_specific_params", None) or {}
    prefixes = [task["prefix"] for task in known.values() if isinstance(task, dict) and task.get("prefix")]
    if options.task_prefix or not prefixes:
        return []
    return [
        f"The model was pretrained with the prefixes {', '.join(map(repr, prefixes))}; --task_prefix puts one before "
        "every source."
    ]
