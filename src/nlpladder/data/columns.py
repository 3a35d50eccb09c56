"""Finding the text and the label column of a table: as asked for, else by name, else by type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlpladder.data.chunks import scalar_text
from nlpladder.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

#: Names of text columns, the likeliest first.
TEXT_NAMES = (
    "text", "sentence", "review", "content", "document", "article", "body", "tweet", "comment", "comment_text",
    "message", "review_text", "review_body", "question", "query", "utterance", "post", "headline", "title", "abstract",
    "description", "passage", "input", "sms", "email",
)  # fmt: skip
#: Pairs of text columns that belong together.
TEXT_PAIRS = (
    ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question", "sentence"), ("question1", "question2"),
    ("question", "passage"), ("text1", "text2"), ("text_a", "text_b"),
)  # fmt: skip
#: Names of label columns, the likeliest first.
LABEL_NAMES = (
    "label", "labels", "target", "class", "category", "sentiment", "intent", "emotion", "emotions", "topic", "polarity",
    "gold_label", "label_text", "label_name", "class_label", "class_index", "coarse_label", "categories", "tags", "tag",
    "genre", "type", "rating", "stars", "is_spam", "spam", "toxic", "airline_sentiment", "score", "similarity", "y",
)  # fmt: skip
_FEW_VALUES = 50


@dataclass(frozen=True)
class TextColumns:
    """The columns that hold the text and the label.

    Attributes:
        text: One or more columns; several are joined by a newline.
        label: One column, several 0/1 columns (multi-label), or none.
        notes: How they were found, in sentences.
    """

    text: tuple[str, ...]
    label: tuple[str, ...]
    notes: tuple[str, ...] = ()


def find_columns(
    table: pa.Table, *, place: str, text_column: str | None, label_column: str | None, need_label: bool = True
) -> TextColumns:
    """Find the text and the label column.

    Args:
        table: The training rows, or the first of them.
        place: The source, for errors.
        text_column: A column, or several separated by commas; None to look for it.
        label_column: A column, or several 0/1 columns separated by commas; None to look for it.
        need_label: Whether a label column must be found.

    Raises:
        DataError: A column that was asked for is absent (the nearest and all columns are named), or none was found.
    """
    names = tuple(table.column_names)
    label = _asked(table, place, label_column, "label") if label_column else ()
    text = _asked(table, place, text_column, "text") if text_column else ()
    notes = []
    if not text:
        text, how = _find_text(table, place, label)
        notes.append(f"The text is {_quoted(text, ' and ')}, found by {how}.")
    else:
        notes.append(f"The text is {_quoted(text, ' and ')}, as asked for.")
    if len(text) > 1:
        notes.append("Several text columns are joined by a newline.")
    shared = set(text) & set(label)
    if shared:
        raise DataError(f"{place}: {_quoted(shared)} is asked for both as text and as label. {listing(table)}")
    if label:
        notes.append(f"The label is {_quoted(label)}, as asked for.")
    elif need_label:
        label, how = _find_label(table, place, text)
        others = [name for name in names if name.lower() in LABEL_NAMES and name not in (*label, *text)]
        rest = f" (also there: {_quoted(others)}; choose with --label_column)" if others else ""
        notes.append(f"The label is {_quoted(label)}, found by {how}{rest}.")
    return TextColumns(text, label, tuple(notes))


def listing(table: pa.Table) -> str:
    """List the columns of a table with their types."""
    return "The columns are: " + ", ".join(f"{field.name} ({field.type})" for field in table.schema) + "."


def joined_texts(table: pa.Table, columns: tuple[str, ...], place: str) -> pa.ChunkedArray:
    """Return the text of each row: one column as strings, or several joined by a newline.

    Raises:
        DataError: A column holds lists or objects, which are no text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = []
    for name in columns:
        column = table.column(name)
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            raise DataError(
                f"{place}: the text column {name!r} holds {column.type}, not text. Choose another with --text_column. "
                + listing(table)
            )
        parts.append(column if pa.types.is_string(column.type) else column.cast(pa.string()))
    if len(parts) == 1:
        return parts[0]
    return pc.binary_join_element_wise(*parts, "\n")


def indicator_labels(table: pa.Table, columns: tuple[str, ...], place: str) -> pa.ChunkedArray:
    """Turn several 0/1 columns into one list column of the names of the columns that are set.

    Raises:
        DataError: A value other than 0, 1, true, false or null.
    """
    import pyarrow as pa

    meaning: Mapping[Any, bool] = {"0": False, "1": True, "false": False, "true": True, "0.0": False, "1.0": True}
    flags = []
    for name in columns:
        values = table.column(name).to_pylist()
        wrong = next((v for v in values if v is not None and scalar_text(v).lower() not in meaning), None)
        if wrong is not None:
            raise DataError(
                f"{place}: column {name!r} holds {wrong!r}. Several label columns must each hold 0 or 1; "
                "give one column for labels that are names."
            )
        flags.append([None if v is None else meaning[scalar_text(v).lower()] for v in values])
    rows = [
        None if None in row else [name for name, flag in zip(columns, row, strict=True) if flag]
        for row in zip(*flags, strict=True)
    ]
    return pa.chunked_array([pa.array(rows, pa.list_(pa.string()))])


def typed_columns(table: pa.Table, keep: Iterable[str]) -> pa.Table:
    """Give the string columns of a csv file that hold only integers, floats or booleans these types; not `keep`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kept = set(keep)
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        if name in kept or not pa.types.is_string(column.type):
            continue
        values = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
        if values.null_count == len(values):
            continue
        for pattern, kind in (
            (r"^-?(0|[1-9][0-9]{0,17})$", pa.int64()),
            (r"^-?[0-9]+\.[0-9]*([eE][-+]?[0-9]+)?$", pa.float64()),
            (r"^([Tt]rue|[Ff]alse|TRUE|FALSE)$", pa.bool_()),
        ):
            if pc.all(pc.match_substring_regex(values, pattern)).as_py():
                lowered = pc.utf8_lower(values) if pa.types.is_boolean(kind) else values
                table = table.set_column(position, name, lowered.cast(kind))
                break
    return table


def _asked(table: pa.Table, place: str, wanted: str, role: str) -> tuple[str, ...]:
    names = table.column_names
    if wanted in names:
        return (wanted,)
    columns = tuple(part.strip() for part in wanted.split(",") if part.strip())
    for column in columns or (wanted,):
        if column not in names:
            hint = did_you_mean(column, names)
            raise DataError(f"{place} has no {role} column {column!r}.{hint} {listing(table)}")
    return columns


def _find_text(table: pa.Table, place: str, label: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    by_lower = {name.lower(): name for name in table.column_names if name not in label and _is_texty(table, name)}
    for pair in TEXT_PAIRS:
        if all(name in by_lower for name in pair):
            return tuple(by_lower[name] for name in pair), "name"
    for name in TEXT_NAMES:
        if name in by_lower:
            return (by_lower[name],), "name"
    lengths = {name: _mean_length(table, name) for name in by_lower.values() if name.lower() not in LABEL_NAMES}
    if not lengths:
        raise DataError(f"{place}: found no text column. Name it with --text_column. {listing(table)}")
    longest = max(lengths, key=lambda name: lengths[name])
    return (longest,), "type (the longest strings)"


def _find_label(table: pa.Table, place: str, text: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    by_lower = {name.lower(): name for name in reversed(table.column_names) if name not in text}
    for name in LABEL_NAMES:
        if name in by_lower:
            return (by_lower[name],), "name"
    few = [name for name in table.column_names if name not in text and _has_few_values(table, name)]
    if len(few) == 1:
        return (few[0],), "type (few distinct values)"
    several = f"; {_quoted(few)} all have few distinct values" if few else " and none has few distinct values"
    raise DataError(
        f"{place}: no column is named like a label{several}. Name it with --label_column. {listing(table)} "
        "Data of texts with texts (translation, summaries, data to text) is for the seq2seq recipes."
    )


def _is_texty(table: pa.Table, name: str) -> bool:
    import pyarrow as pa

    kind = table.schema.field(name).type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


def _mean_length(table: pa.Table, name: str) -> float:
    import pyarrow.compute as pc

    return float(pc.mean(pc.utf8_length(table.column(name).slice(0, 10_000).cast("string"))).as_py() or 0.0)


def _has_few_values(table: pa.Table, name: str) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.column(name).slice(0, 20_000)
    if pa.types.is_nested(column.type) or pa.types.is_floating(column.type):
        return False
    distinct = pc.count_distinct(column).as_py()
    return bool(2 <= distinct <= _FEW_VALUES and distinct * 3 <= len(column))


def _quoted(names: Iterable[str], separator: str = ", ") -> str:
    return separator.join(repr(name) for name in names)
