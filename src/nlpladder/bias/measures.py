"""The measures there are, as data: what each needs of a model, which data it reads, and where its function is.

A model offers a measure when it meets one of the protocols that the measure sees it through: a GPT the measures of
causal language models, BERT those of masked ones, GloVe those of vectors. `nlpladder.bias.measure_table` holds the
table.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nlpladder import protocols
from nlpladder.errors import ConfigError, DataError, did_you_mean

#: How what an option of a measure names is told to the user.
_OPTION_VALUES = {"lines": "FILE (one text a line)", "model": "MODEL (a folder or Hub id)", "path": "PATH"}
#: Of names up to this length one letter is a large part: half of all three-letter words are "near" to each other.
_SHORT = 4

#: How the protocols are called in sentences.
PROTOCOL_NAMES = {
    "WordEmbeddings": "word vectors",
    "TextEncoder": "a text encoder",
    "MaskedLanguageModel": "a masked language model",
    "LanguageModel": "a causal, recurrent or n-gram language model",
    "TextToTextModel": "a text-to-text model",
    "TextClassifier": "a text classifier",
}


@dataclass(frozen=True, kw_only=True)
class MeasureEntry:
    """One measure.

    Attributes:
        name: Of the estimator, such as ``crows_pll``.
        title: What it measures, in a few words.
        needs: Protocols of `nlpladder.protocols`, any of which will do.
        function: ``module:function``, called as ``function(model, data, statistics=…, **arguments)``; it returns
            `Findings`, or several of them.
        data: Key of the data that a user names, such as ``crows_pairs``; empty where it reads none.
        loader: ``module:function`` that opens the data from a path or Hub id; empty where it reads none.
        built_in: ``module:name`` of data of our own (a value, or a function without arguments), used where the user
            names none; empty where there is none.
        arguments: Fixed arguments of the function.
        needed_options: Arguments without which it does not run -> what a path given for them is opened as: ``lines``
            (a text file, one text a line), ``model`` (a folder or Hub id), ``path`` (left as it is).
        graded: Whether the score grows with the size of the bias.
        stereotypes: Whether its items hold stereotypes, so that a warning stands before they are shown.
        shares: Whether its function takes ``shared``, where measures of one model leave answers for each other.
        source: The paper.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    function: str
    data: str = ""
    loader: str = ""
    built_in: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    needed_options: Mapping[str, str] = field(default_factory=dict)
    graded: bool = True
    stereotypes: bool = False
    shares: bool = False
    source: str = ""

    def offered_by(self, model: Any) -> bool:
        """Tell whether a model meets one of the protocols.

        Args:
            model: Any rung.
        """
        return any(isinstance(model, getattr(protocols, name)) for name in self.needs)

    @property
    def needed(self) -> str:
        """Say what kind of model it needs."""
        return " or ".join(PROTOCOL_NAMES[name] for name in self.needs)

    def measure(self, model: Any, data: Any, *, shared: dict[Any, Any] | None = None, **options: Any) -> list[Any]:
        """Run it, and return its `Findings` as a list.

        Args:
            model: Any rung that offers it.
            data: What `open_data` returned.
            shared: What measures of this model have asked it already, for those that share; one dict a model.
            options: ``statistics`` and others of the function.
        """
        if self.shares and shared is not None:
            options["shared"] = shared
        found = resolve(self.function)(model, data, **{**self.arguments, **options})
        return [found] if hasattr(found, "findings") else list(found)

    def open_data(self, path: str | Path | None, *, revision: str | None = None) -> Any:
        """Return the data: of the path, else our own.

        Args:
            path: A file, folder or Hub id; None for the data of our own.
            revision: Of the Hub id.

        Raises:
            DataError: If there is none of our own, or the loader refuses the files.
        """
        if path is not None:
            if not self.loader:
                raise ConfigError(f"{self.name} reads no --{self.data or 'data'}: it has items of its own.")
            given = {} if revision is None else {"revision": revision}
            return resolve(self.loader)(str(path), **given)
        if self.built_in:
            value = resolve(self.built_in)
            return value() if callable(value) else value
        if self.data:
            raise DataError(f"{self.name} reads data of others, which are not shipped: name them with --{self.data}.")
        return None


def resolve(entry: str) -> Any:
    """Import ``module:name`` and return what it names.

    Args:
        entry: Such as ``nlpladder.bias.pairs.crows_pairs:crows_pairs``.
    """
    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(module), name)


def all_measures() -> dict[str, MeasureEntry]:
    """Return every measure by name, in the order of the table."""
    from nlpladder.bias.measure_table import TABLE

    return {entry.name: entry for entry in TABLE}


def measure_named(name: str) -> MeasureEntry:
    """Return one measure.

    Args:
        name: Of the estimator.

    Raises:
        ConfigError: If there is none of this name; the message names the nearest.
    """
    known = all_measures()
    if name not in known:
        raise ConfigError(f"There is no bias measure {name!r}.{nearest(name, known)} Measures: {', '.join(known)}.")
    return known[name]


def offered_measures(model: Any) -> list[MeasureEntry]:
    """Return the measures that a model offers, whatever data they read.

    Args:
        model: Any rung.
    """
    return [entry for entry in all_measures().values() if entry.offered_by(model)]


def selected_measures(
    names: Iterable[str], given: Iterable[str], options: Mapping[str, Mapping[str, Any]] | None = None
) -> list[MeasureEntry]:
    """Return the measures of these names; ``all`` stands for those whose data are given or our own.

    Args:
        names: Names of measures, of data (``crows_pairs`` stands for all measures on it), or ``all``.
        given: Keys of the data that the user named.
        options: Arguments that the user gave, by the measure's name.

    Raises:
        ConfigError: If a name is unknown, or a measure that is asked for by name lacks its data or an option.
    """
    known, there = all_measures(), set(given)
    told = options or {}
    by_data: dict[str, list[str]] = {}
    for entry in known.values():
        if entry.data:
            by_data.setdefault(entry.data, []).append(entry.name)
    chosen: dict[str, MeasureEntry] = {}
    for name in names:
        if name == "all":
            chosen |= {
                entry.name: entry
                for entry in known.values()
                if (entry.data in there or entry.built_in or not entry.data) and not _lacking(entry, told)
            }
            continue
        if name not in known and name not in by_data:
            hint = nearest(name, [*known, *by_data, "all"])
            raise ConfigError(f"There is no bias measure {name!r}.{hint} Measures: {', '.join(known)}.")
        for one in [name] if name in known else by_data[name]:
            entry = known[one]
            if entry.data and entry.data not in there and not entry.built_in:
                raise ConfigError(
                    f"{one} reads data of others, which are not shipped: name the file or folder with --{entry.data}."
                )
            lacking = _lacking(entry, told)
            if lacking and name == one:
                raise ConfigError(f"{one} {_lacking_sentence(entry, lacking)}")
            if not lacking:
                chosen[one] = entry
    return list(chosen.values())


def left_out_measures(
    names: Iterable[str], given: Iterable[str], options: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, str]:
    """Return the measures that `selected_measures` passes over without a word, and what each of them needs.

    Args:
        names: Names of measures, of data, or ``all``.
        given: Keys of the data that the user named.
        options: Arguments that the user gave, by the measure's name.
    """
    known, there, told, asked = all_measures(), set(given), options or {}, set(names)
    left: dict[str, str] = {}
    for entry in known.values():
        if "all" not in asked and (not entry.data or entry.data not in asked):
            continue
        if entry.data and entry.data not in there and not entry.built_in:
            left[entry.name] = f"reads data of others, which are not shipped: name them with --{entry.data}."
            continue
        lacking = _lacking(entry, told)
        if lacking and entry.name not in asked:
            left[entry.name] = _lacking_sentence(entry, lacking)
    return left


def check_data_keys(given: Iterable[str], entries: Sequence[MeasureEntry]) -> None:
    """Refuse data that no measure that was asked for reads.

    Args:
        given: Keys of the data that the user named.
        entries: The measures that will be run.

    Raises:
        ConfigError: If there are such data.
    """
    read = {entry.data for entry in entries}
    for key in given:
        if key not in read:
            raise ConfigError(
                f"--{key} is given, but none of the measures reads it: {', '.join(e.name for e in entries)}."
            )


def open_given_data(entries: Iterable[MeasureEntry], given: Mapping[str, Any]) -> dict[str, Any]:
    """Open everything that the user named by a path, so that a broken file is told before any model is opened.

    Args:
        entries: The measures that will be run; the first that reads a key opens it for all.
        given: Paths or Hub ids by key, or data that a loader has opened already.

    Raises:
        DataError: If a file is missing or broken.
    """
    opened = dict(given)
    for entry in entries:
        source = opened.get(entry.data) if entry.data and entry.loader else None
        if isinstance(source, str) or hasattr(source, "__fspath__"):
            opened[entry.data] = entry.open_data(source)
    return opened


def check_options(options: Mapping[str, Mapping[str, Any]], entries: Sequence[MeasureEntry]) -> None:
    """Refuse arguments that a measure does not take.

    Args:
        options: Arguments by the measure's name.
        entries: The measures that will be run.

    Raises:
        ConfigError: If a name is no measure of this run, or an argument none of its function; the nearest is named.
    """
    known = {entry.name: entry for entry in entries}
    for name, given in options.items():
        if name not in known:
            raise ConfigError(
                f"Options are given for {name!r}, which is not measured.{nearest(name, known)} "
                f"Measured: {', '.join(known)}."
            )
        parameters = inspect.signature(resolve(known[name].function)).parameters.values()
        own = ("statistics", "shared")
        takes = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.name not in own]
        for argument in given:
            if argument not in takes or argument in known[name].arguments:
                free = [one for one in takes if one not in known[name].arguments]
                hint = did_you_mean(argument, free)
                raise ConfigError(f"{name} takes no {argument!r}.{hint} It takes: {', '.join(free) or 'none'}.")


def _lacking(entry: MeasureEntry, options: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [name for name in entry.needed_options if name not in options.get(entry.name, {})]


def _lacking_sentence(entry: MeasureEntry, lacking: Sequence[str]) -> str:
    value = _OPTION_VALUES[entry.needed_options[lacking[0]]]
    return f"needs the option {lacking[0]}: --measure_options.{entry.name}.{lacking[0]} {value}."


def offering_hint(offered: Sequence[str], name: str) -> str:
    """Say what a model offers instead of a measure that it does not, those on the same data first.

    Args:
        offered: Names of the measures that it offers.
        name: The measure that was asked for.
    """
    if not offered:
        return "No bias measure sees such a model."
    known = all_measures()
    data = known[name].data if name in known else ""
    same = [one for one in offered if data and known[one].data == data]
    told = f"On --{data} it offers {', '.join(same)}; in all" if same else "It offers"
    return f"{told} {', '.join(offered)}."


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return ``" Did you mean 'weat'?"``, or nothing; to a short name only what is one slip of a finger away is near.

    Args:
        name: What the user wrote.
        candidates: Names that would have been valid.
    """
    names = [str(one) for one in candidates]
    if len(name) > _SHORT:
        return did_you_mean(name, names)
    found = [one for one in names if _one_slip(name.lower(), one.lower())]

    return f" Did you mean {found[0]!r}?" if found else ""


def _one_slip(first: str, second: str) -> bool:
    """Tell whether two words are alike but for one letter too many, too few or another, or two that changed places."""
    if abs(len(first) - len(second)) > 1:
        return False
    start = 0
    while start < min(len(first), len(second)) and first[start] == second[start]:
        start += 1
    one, other = first[start:], second[start:]
    changed_places = len(one) > 1 and one[:2] == other[1::-1] and one[2:] == other[2:]
    return one[1:] == other[1:] or one[1:] == other or one == other[1:] or changed_places
