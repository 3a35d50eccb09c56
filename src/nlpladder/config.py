"""Recipe options: frozen dataclasses, filled from one YAML file and from ``--key value``.

``recipe.py [config.yaml] [--key value …]``: the command line wins over the file, the file over the defaults. Each
option is documented once, in its field's ``help``; ``--help`` and the comments in the YAML files come from there.
A field of type ``dict`` takes dotted keys: ``--rung_options.text_cnn.num_train_epochs 3``.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from nlpladder.config_files import read_yaml as read_yaml
from nlpladder.errors import ConfigError, LadderError, did_you_mean

Options = TypeVar("Options")

#: What other tools call these options; by their letters they are too far from ours to be found.
_SYNONYMS = {
    "lr": "learning_rate", "epochs": "num_train_epochs", "num_epochs": "num_train_epochs", "data": "dataset",
    "output": "output_dir", "model_name_or_path": "model", "per_device_train_batch_size": "batch_size",
    "max_seq_length": "max_length",
}  # fmt: skip

#: The options of the recipe at work, by which its errors name options as they must be typed.
_RECIPE: ContextVar[type | None] = ContextVar("recipe_options", default=None)


def option(default: Any = dataclasses.MISSING, *, help: str, keys: type | tuple[type, ...] = ()) -> Any:
    """Declare a documented field of a dataclass.

    Args:
        default: Its default; a ``dict`` or ``list`` is copied for each instance; none makes the option required.
        help: One sentence; the only place where the option is explained.
        keys: For a ``dict``: a dataclass whose fields are its keys, or several; ``--help`` lists them.
    """
    metadata = {"help": help, "keys": keys if isinstance(keys, tuple) else (keys,)}
    if isinstance(default, (dict, list)):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def parse(
    cls: type[Options], argv: Sequence[str] | None = None, *, description: str | None = None, usage: str | None = None
) -> Options:
    """Fill the dataclass `cls` from a YAML file (first positional argument) and ``--key value`` overrides.

    Args:
        cls: A dataclass whose fields were declared with `option`.
        argv: Arguments without the program's name; ``sys.argv[1:]`` when not given.
        description: Shown at the top of ``--help``, usually the recipe's ``__doc__``.
        usage: How the command is called, where that is not ``recipe.py [config.yaml] [--key value …]``; the first line
            of ``--help``, which then does not name the file.

    Raises:
        ConfigError: for an unknown key (with the nearest valid one), a value of the wrong type, a missing required
            option or an unreadable file.
    """
    hints = get_type_hints(cls)
    parser = argparse.ArgumentParser(
        usage=usage, description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "config", nargs="?", help=argparse.SUPPRESS if usage else "a YAML file with any of the options below"
    )
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        _add_argument(parser, field, hints[field.name])
    parser.epilog = "\n".join(_keys_help(field) for field in dataclasses.fields(cls))  # type: ignore[arg-type]
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    given_arguments = list(sys.argv[1:] if argv is None else argv)
    plain, dotted = _split_arguments(given_arguments, dataclasses.fields(cls), hints)  # type: ignore[arg-type]
    known = parser.parse_args(plain)
    given = {key: value for key, value in vars(known).items() if key != "config" and value is not None}
    values: dict[str, Any] = {}
    if known.config is not None:
        if not known.config.endswith((".yaml", ".yml")) and "dataset" in names:
            raise ConfigError(
                f"{known.config!r} stands where a YAML config is expected (a name that ends in .yaml). Data are named "
                f"with --dataset {known.config} (several files: --dataset a,b)."
            )
        values.update(read_yaml(known.config))
    values.update(given)
    for key, value in dotted:
        _apply_dotted(values, key, value)
    options = build(cls, values, where=known.config or "the command line")
    _RECIPE.set(cls)
    return options


def build(cls: type[Options], values: Mapping[str, Any], *, where: str) -> Options:
    """Build the dataclass `cls` from a mapping, checking names and types.

    Args:
        cls: A dataclass.
        values: Its options, for example one section of a YAML file.
        where: Named in errors.

    Raises:
        ConfigError: as `parse`.
    """
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ConfigError(
                f"{where}: unknown option {key!r}.{_hint(key, fields.values())} Valid options: {', '.join(fields)}."
            )
    required = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING and name not in values
    ]
    if required:
        raise ConfigError(f"{where}: no value for {', '.join('--' + name for name in required)}.")
    return cls(**{key: _coerce(value, hints[key], f"{where}: option {key!r}") for key, value in values.items()})


def with_group(name: str, group: Mapping[str, Any], **own: Any) -> dict[str, Any]:
    """Return a recipe's own options together with the group of further ones, which may not say them again.

    Args:
        name: Of the group, for example ``data``.
        group: The mapping that the user gave.
        own: What the recipe's own options say, by name.

    Raises:
        ConfigError: for a key of the group that is an option of the recipe, so that one of the two would be lost.
    """
    for key in own:
        if key in group:
            raise ConfigError(f"--{name}.{key} says again what --{key} says: leave it out, and give --{key} alone.")
    return {**own, **group}


def options_of(options: Any, cls: type) -> dict[str, Any]:
    """Return those of a recipe's options that the dataclass `cls` declares, by name."""
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(cls)}


def as_typed(message: str, cls: type) -> str:
    """Name the options in a message as they must be typed: ``--text_column`` may be ``--data.text_column`` here.

    Data and models do not know into which mapping a recipe has put their options.

    Args:
        message: Names options by two dashes.
        cls: The dataclass of the recipe's options.
    """
    fields = dataclasses.fields(cls)
    own = {field.name for field in fields}
    inside: dict[str, set[str]] = {}
    for field in fields:
        for group in field.metadata.get("keys", ()):
            for key in dataclasses.fields(group):
                inside.setdefault(key.name, set()).add(field.name)

    def typed(match: re.Match[str]) -> str:
        name = match[1]
        homes = inside.get(name, set())
        return f"--{next(iter(homes))}.{name}" if name not in own and len(homes) == 1 else match[0]

    return re.sub(r"(?<![\w.-])--([a-z][a-z0-9_]*)(?![\w.]*\w)", typed, message)


def run_recipe(main: Callable[[], None]) -> None:
    """Run a recipe's `main`; a user's mistake ends in its sentence and exit code 2, without a traceback.

    A second process of a distributed run stays silent, so that the sentence is printed once.
    """
    # OpenMP's waiting threads spin for long. When anything else wants a core, each tiny kernel then waits for a thread
    # that is not running: training a TextCNN on two cores fell from 45 to 1.2 steps a second beside one busy process.
    # A short spin costs nothing on a quiet machine. libgomp reads this when it is loaded, before torch.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    _RECIPE.set(None)
    try:
        main()
        _leave_process_group()
    except LadderError as error:
        if os.environ.get("RANK", "0") == "0":
            cls = _RECIPE.get()
            message = str(error) if cls is None else as_typed(str(error), cls)
            sys.stderr.write(f"\n{type(error).__name__}: {message}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. Start the same command again to continue.\n")
        raise SystemExit(130) from None


def _leave_process_group() -> None:
    """Wait for the other processes of a launch: one that ends while the others still talk is aborted now and then."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


def _add_argument(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], hint: Any) -> None:
    """Add one field as ``--name``, with its default in the help; `None` marks "not given on the command line"."""
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    else:
        default = "required"
    text = f"{field.metadata.get('help', '')} (default: {default})".replace("%", "%%")
    kind = _without_none(hint)
    if _is_mapping(hint):
        parser.add_argument(f"--{field.name}", metavar="{KEY: VALUE}", help=text + f"; also --{field.name}.KEY VALUE")
    elif kind is bool:
        parser.add_argument(f"--{field.name}", nargs="?", const="true", metavar="true|false", help=text)
    elif get_origin(kind) is Literal:
        parser.add_argument(f"--{field.name}", metavar="|".join(map(str, get_args(kind))), help=text)
    else:
        parser.add_argument(f"--{field.name}", metavar=getattr(kind, "__name__", "VALUE").upper(), help=text)


def _keys_help(field: dataclasses.Field[Any]) -> str:
    """List the keys of an option that is a mapping, with what each means."""
    import textwrap

    lines = []
    for group in field.metadata.get("keys", ()):
        what = f" ({(group.__doc__ or '').splitlines()[0].rstrip('.')})" if len(field.metadata["keys"]) > 1 else ""
        lines.append(f"--{field.name}.KEY VALUE, where KEY is one of{what}:")
        for key in dataclasses.fields(group):
            default = "" if key.default in (dataclasses.MISSING, None, "") else f" (default: {key.default})"
            meaning = f"{key.metadata.get('help', '')}{default}"
            lines += textwrap.wrap(f"{key.name}: {meaning}", 118, initial_indent="  ", subsequent_indent="      ")
    return "\n".join([*lines, ""]) if lines else ""


def _hint(key: str, fields: Iterable[dataclasses.Field[Any]]) -> str:
    """Return where an unknown option belongs: into a mapping that has such a key, else the nearest name."""
    fields = list(fields)
    for field in fields:
        if any(key == known.name for group in field.metadata.get("keys", ()) for known in dataclasses.fields(group)):
            return f" It is a key of {field.name}: --{field.name}.{key} on the command line."
    names = [field.name for field in fields]
    meant = _SYNONYMS.get(key)
    if meant is not None and key not in names:
        return f" Did you mean {meant!r}?" if meant in names else _hint(meant, fields)
    return did_you_mean(key, names)


def _split_arguments(
    argv: Sequence[str], fields: Sequence[dataclasses.Field[Any]], hints: Mapping[str, Any]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Separate ``--a.b.c value`` from what argparse understands, and refuse unknown options.

    argparse alone would take the value of a misspelt option for the config file.
    """
    names = [field.name for field in fields]
    plain: list[str] = []
    dotted: list[tuple[str, str]] = []
    pending = list(argv)
    while pending:
        argument = pending.pop(0)
        key, separator, value = argument[2:].partition("=")
        head = key.split(".")[0]
        if not argument.startswith("--") or key == "help":
            plain.append(argument)
        elif "." in key and head in names and _is_mapping(hints[head]):
            if not separator and not pending:
                raise ConfigError(f"Option --{key} needs a value.")
            dotted.append((key, value if separator else pending.pop(0)))
        elif key in names:
            plain.append(argument)
            # The value belongs to the option even when it starts with a dash, as a negative number does.
            if not separator and pending and pending[0].startswith("-") and not pending[0].startswith("--"):
                plain[-1] = f"{argument}={pending.pop(0)}"
        else:
            raise ConfigError(f"Unknown option --{key}.{_hint(key, fields)} See --help for all of them.")
    return plain, dotted


def _apply_dotted(values: dict[str, Any], key: str, text: str) -> None:
    """Put ``a.b.c value`` into ``values["a"]["b"]["c"]``, the value read as YAML."""
    import yaml

    head, *path = key.split(".")
    if isinstance(values.get(head), str):
        values[head] = yaml.safe_load(values[head])
    target = values[head] = dict(values.get(head) or {})
    for part in path[:-1]:
        target[part] = dict(target.get(part) or {})
        target = target[part]
    target[path[-1]] = yaml.safe_load(text)


def _is_mapping(hint: Any) -> bool:
    kind = _without_none(hint)
    return kind is dict or get_origin(kind) is dict


def _without_none(hint: Any) -> Any:
    """Return X for ``X | None``."""
    if get_origin(hint) in (Union, types.UnionType):
        inner = [argument for argument in get_args(hint) if argument is not type(None)]
        return inner[0] if len(inner) == 1 else Union[tuple(inner)]  # noqa: UP007
    return hint


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """Turn a YAML value or a command-line string into the field's type, or say what was expected."""
    optional = hint is not _without_none(hint)
    kind = _without_none(hint)
    if value is None or (optional and isinstance(value, str) and value.lower() in ("none", "null")):
        if optional:
            return None
        raise ConfigError(f"{where} must not be empty; expected {_name(kind)}.")
    try:
        return _convert(value, kind)
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError):  # which says what was expected
            raise ConfigError(f"{where} is {value!r}: {error}") from None
        raise ConfigError(f"{where} is {value!r}, expected {_name(kind)}.") from None


def _convert(value: Any, kind: Any) -> Any:
    origin = get_origin(kind)
    if origin is Literal:
        choices = {str(choice): choice for choice in get_args(kind)}
        if str(value) not in choices:
            raise ConfigError(f"choose one of {', '.join(choices)}.{did_you_mean(str(value), choices)}")
        return choices[str(value)]
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if isinstance(value, bool):
            return value
        if str(value).lower() not in words:
            raise ValueError
        return words[str(value).lower()]
    if kind is int:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError
        return int(value)
    if kind is float:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    if kind is str:
        if isinstance(value, (dict, list)):
            raise ValueError
        return str(value)
    if kind is dict or origin is dict:
        if isinstance(value, str):
            import yaml

            value = yaml.safe_load(value)
        if not isinstance(value, Mapping):
            raise ValueError
        return dict(value)
    if kind is tuple or origin in (tuple, list):
        inner = get_args(kind)[0] if get_args(kind) else str
        parts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else list(value)
        return (tuple if kind is tuple or origin is tuple else list)(_convert(part, inner) for part in parts)
    if origin in (Union, types.UnionType):
        for inner in get_args(kind):
            try:
                return _convert(value, inner)
            except (TypeError, ValueError):
                continue
        raise ValueError
    return value


def _name(kind: Any) -> str:
    """Name a type the way a user would."""
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", dict: "a mapping"}
    if kind in names:
        return names[kind]
    if kind is tuple or get_origin(kind) in (tuple, list):
        return "a list (a,b,c)"
    return typing.cast(str, getattr(kind, "__name__", str(kind)))
