"""Finding the source and the target column of a table of pairs: as asked for, else by name, else by type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlpladder.data.columns import LABEL_NAMES, listing
from nlpladder.data.languages import language_of
from nlpladder.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

#: Pairs of column names that say which side is which, the likeliest first.
SIDE_NAMES = (
    ("source", "target"), ("src", "tgt"), ("src", "trg"), ("source_text", "target_text"),
    ("source_sentence", "target_sentence"), ("input", "output"), ("input_text", "target_text"), ("text", "target"),
    ("text", "translation"), ("article", "summary"), ("document", "summary"), ("dialogue", "summary"),
    ("article", "highlights"), ("text", "summary"), ("mr", "ref"), ("meaning_representation", "human_reference"),
    ("question", "answer"), ("prompt", "completion"), ("instruction", "output"),
)  # fmt: skip
_HEAD = 100


@dataclass(frozen=True)
class PairRequest:
    """What the user said about the two sides; all of it may be None."""

    source_column: str | None = None
    target_column: str | None = None
    source_language: str | None = None
    target_language: str | None = None

    @property
    def sides(self) -> tuple[tuple[str, str | None, str | None], ...]:
        """For each side its name, the column asked for, and the language asked for."""
        return (
            ("source", self.source_column, self.source_language),
            ("target", self.target_column, self.target_language),
        )


@dataclass(frozen=True)
class PairColumns:
    """The two columns of a table of pairs.

    Attributes:
        source: The column to translate from.
        target: The column to translate into.
        languages: What the two sides are called: language codes where they are known, else the columns.
        notes: How the columns were found, in sentences.
    """

    source: str
    target: str
    languages: tuple[str, str]
    notes: tuple[str, ...] = ()


def opened_translations(table: pa.Table, place: str) -> pa.Table:
    """Replace the column `translation` of Hub data sets, a text for each language in every row, by its languages.

    Raises:
        DataError: The column holds several texts a language, or is no record of texts at all.
    """
    import pyarrow as pa

    if "translation" not in table.column_names:
        return table
    kind = table.schema.field("translation").type
    if not pa.types.is_struct(kind):
        return table
    nested = [kind.field(number).name for number in range(kind.num_fields) if pa.types.is_nested(kind[number].type)]
    if nested:
        raise DataError(
            f"{place}: the column 'translation' holds lists ({', '.join(nested)}), not one text for each language. "
            "Choose a configuration with one pair of languages, or save the pairs as two columns."
        )
    position = table.column_names.index("translation")
    rest = table.drop_columns(["translation"])
    column = table.column(position).combine_chunks()
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    opened = pa.chunked_array(chunks, kind).flatten()
    for offset, values in enumerate(opened):
        name = kind.field(offset).name
        if name not in rest.column_names:
            rest = rest.add_column(offset, name, values)
    return rest


def find_pair(table: pa.Table, place: str, request: PairRequest) -> PairColumns:
    """Find the column of the source and the column of the target.

    What is asked for comes first, then pairs of names such as source and target, then two columns named by language,
    then the only two columns of text. Where only the order of the columns tells source from target, a note says so.

    Args:
        table: The training rows.
        place: The source, for errors.
        request: What the user said.

    Raises:
        DataError: A column that was asked for is absent, or the columns are ambiguous; lists them.
    """
    texts = [name for name in table.column_names if _is_text(table, name)]
    languages = {name: code for name in texts if (code := _language(table, name))}
    chosen = [_asked(table, place, languages, *side) for side in request.sides]
    how, order = "as asked for", False
    if None in chosen:
        found, how, order = _complete(table, place, chosen, texts, languages)
    else:
        found = (str(chosen[0]), str(chosen[1]))
    source, target = found
    if source == target:
        raise DataError(
            f"{place}: the column {source!r} is asked for both as source and as target. {listing(table)} "
            "Name two columns with --source_column and --target_column."
        )
    for name, (side, _, language) in zip(found, request.sides, strict=True):
        if language and name in languages and not _same_language(language, languages[name]):
            raise DataError(
                f"{place}: --{side}_language is {language!r}, but the {side} column {name!r} is "
                f"{languages[name]!r}. Name the column with --{side}_column. {listing(table)}"
            )
    named = tuple(
        language or languages.get(name, name) for name, (_, _, language) in zip(found, request.sides, strict=True)
    )
    swap = f"; turn round with --source_column {target} --target_column {source}" if order else ""
    note = f"The source is {source!r} and the target {target!r}, {how}{swap}."
    return PairColumns(source, target, (named[0], named[1]), (note,))


def _complete(
    table: pa.Table, place: str, chosen: Sequence[str | None], texts: list[str], languages: dict[str, str]
) -> tuple[tuple[str, str], str, bool]:
    """Find the sides that nobody asked for; tell how, and whether only the order of the columns decided."""
    by_lower = {name.lower(): name for name in reversed(texts)}
    known = next((name for name in chosen if name is not None), None)
    if known is not None:
        side = chosen.index(known)
        for pair in SIDE_NAMES:
            if pair[side] == known.lower() and pair[1 - side] in by_lower:
                return _ordered(known, by_lower[pair[1 - side]], side), "found by name", False
        rest = [name for name in (languages if known in languages else ()) if name != known]
        rest = rest or [name for name in _plain(texts) if name != known]
        if len(rest) == 1:
            return _ordered(known, rest[0], side), "the one other column of text", False
        raise _ambiguous(table, place, f"beside {known!r}", rest, ("target", "source")[side])
    for pair in SIDE_NAMES:
        if pair[0] in by_lower and pair[1] in by_lower:
            return (by_lower[pair[0]], by_lower[pair[1]]), "found by name", False
    if len(languages) == 2:
        first, second = languages
        return (first, second), "two languages in the order of the columns", True
    plain = _plain(texts)
    if not languages and len(plain) == 2:
        return (plain[0], plain[1]), "the only two columns of text, in their order", True
    raise _ambiguous(table, place, "in this table", list(languages) or plain, "source")


def _ordered(known: str, other: str, side: int) -> tuple[str, str]:
    return (known, other) if side == 0 else (other, known)


def _ambiguous(table: pa.Table, place: str, where: str, candidates: Iterable[str], side: str) -> DataError:
    found = list(candidates)
    if found:
        what = f"{len(found)} columns could be the {side} {where} ({', '.join(map(repr, found))})"
    else:
        what = f"no column of text could be the {side} {where}"
    return DataError(
        f"{place}: {what}. Name the two sides with --source_column and --target_column. {listing(table)} "
        "A table of pairs has one column for each language, such as de and en, or source and target."
    )


def _asked(
    table: pa.Table, place: str, languages: dict[str, str], side: str, column: str | None, language: str | None
) -> str | None:
    """Return the column that a side was asked to be, by its name or by its language; None if nothing fits."""
    import pyarrow as pa

    if column is not None:
        if column not in table.column_names:
            hint = did_you_mean(column, table.column_names)
            raise DataError(f"{place} has no {side} column {column!r}.{hint} {listing(table)}")
        if pa.types.is_nested(table.schema.field(column).type) or pa.types.is_binary(table.schema.field(column).type):
            raise DataError(
                f"{place}: the {side} column {column!r} holds {table.schema.field(column).type}, not text. "
                f"Choose another with --{side}_column. {listing(table)}"
            )
        return column
    if language is None:
        return None
    matching = [name for name, code in languages.items() if _same_language(language, code)]
    return matching[0] if len(matching) == 1 else None


def _same_language(asked: str, code: str) -> bool:
    return (language_of(asked) or asked.lower()) == code


def _language(table: pa.Table, name: str) -> str | None:
    """Return the language that a column is named after; ``id`` and ``no`` count only when they hold sentences."""
    code = language_of(name)
    if name.lower() in ("id", "no"):
        values = table.column(name).slice(0, _HEAD).to_pylist()
        return code if any(value and " " in value.strip() for value in values) else None
    return code


def _plain(texts: list[str]) -> list[str]:
    """Leave out columns that are named like labels or numbers of rows."""
    skipped = {*LABEL_NAMES, "id", "idx", "index", "split", "source_id", "score"} - {"target"}
    return [name for name in texts if name.lower() not in skipped]


def _is_text(table: pa.Table, name: str) -> bool:
    import pyarrow as pa

    kind = table.schema.field(name).type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
