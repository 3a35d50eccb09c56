"""``python -m nlpladder COMMAND``, such as ``python -m nlpladder serve RUN``."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence

from nlpladder.config import parse, run_recipe
from nlpladder.errors import ConfigError, did_you_mean
from nlpladder.serving.options import ServeOptions

_SERVE_USAGE = "python -m nlpladder serve RUN [RUN ...] [--config FILE] [--key value ...]"
_SERVE_HELP = """Serve models over HTTP.

RUN is a run folder, a Hub id, or name=folder. FILE is a YAML file with any of the options below; the command line wins
over it, and the models of both are served. The page at /docs shows what can be asked. SIGTERM ends the server once
everything it accepted is answered.
"""
_TRUTHS = ("true", "false", "yes", "no", "1", "0")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    Args:
        arguments: Without the program's name; those of the process if not given.

    Raises:
        ConfigError: There is no such command, or an option of it is wrong.
        LadderError: Whatever the command raises.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        lines = "\n".join(f"  {usage}" for usage in _USAGES.values())
        sys.stdout.write(f"usage: python -m nlpladder COMMAND ...\n\n{lines}\n\nEach command has --help.\n")
        return
    command, *rest = given
    if command not in _COMMANDS:
        raise ConfigError(
            f"There is no command {command!r}.{did_you_mean(command, _COMMANDS)} There is: {', '.join(_COMMANDS)}."
        )
    _COMMANDS[command](rest)


def serve_command(arguments: Sequence[str]) -> None:
    """Run ``serve``.

    Raises:
        ConfigError: An option is wrong, or the packages for serving are not installed.
        SystemExit: With 130, after Ctrl-C before the server obeyed signals.
    """
    try:
        options = serve_options(arguments)
        try:
            from nlpladder.serving.server import serve
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "nlpladder":
                raise
            raise ConfigError(
                f"Serving needs the package {error.name}, which is not installed: pip install 'nlpladder[serve]'."
            ) from None
        serve(options)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted before the server was up; nothing was served.\n")
        raise SystemExit(130) from None


def serve_options(arguments: Sequence[str]) -> ServeOptions:
    """Return the options that a command line of ``serve`` gives.

    Args:
        arguments: Models, and options as ``--key value``; ``--config FILE`` names a YAML file with more of them, over
            which the command line wins. Models are those of both.

    Raises:
        ConfigError: As `nlpladder.config.parse`; or ``--config`` without a file.
    """
    models: list[str] = []
    rest: list[str] = []
    config: list[str] = []
    truths = {field.name for field in dataclasses.fields(ServeOptions) if field.type in (bool, "bool")}
    pending = list(arguments)
    while pending:
        argument = pending.pop(0)
        name, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("-"):
            models.append(argument)
        elif name == "config":
            if not equals and (not pending or pending[0].startswith("--")):
                raise ConfigError("--config needs a file: --config serve.yaml.")
            config = [value if equals else pending.pop(0)]
        else:
            rest.append(argument)
            # The word behind an option is its value, also of one that could stand alone: a mistyped "true" would
            # otherwise be taken for a model.
            takes = not equals and pending and not (name in truths and pending[0].startswith("--"))
            if takes and argument.startswith("--") and name != "help":
                if name in truths:
                    _check_truth(name, pending[0])
                rest.append(pending.pop(0))
    options = parse(ServeOptions, [*config, *rest], description=_SERVE_HELP, usage=_SERVE_USAGE)
    return dataclasses.replace(options, models=[*options.models, *models])


def _check_truth(name: str, value: str) -> None:
    if value.lower() not in _TRUTHS:
        raise ConfigError(
            f"--{name} is {value!r}, expected true or false.{did_you_mean(value, ('true', 'false'))} If {value!r} is a "
            f"model, put it before --{name}, or write --{name} true {value}."
        )


_COMMANDS: Mapping[str, Callable[[Sequence[str]], None]] = {"serve": serve_command}
_USAGES: Mapping[str, str] = {"serve": _SERVE_USAGE}

if __name__ == "__main__":
    sys.argv[0] = "python -m nlpladder"  # what --help calls the program
    run_recipe(main)
