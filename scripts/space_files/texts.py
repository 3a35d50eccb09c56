"""The files of a Space that are written for it: the program that starts it, its README and its requirements."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from nlpladder.errors import ConfigError

#: Of PyTorch: builds of torch without CUDA, which a Space on CPUs has no use for.
CPU_TORCH = "https://download.pytorch.org/whl/cpu"

APP = '''"""Starts nlpladder's demo on the models of this Space. Written by scripts/build_space.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# demos/ comes first: its app.py is the demo, this one only starts it.
sys.path[:0] = [str(HERE / "demos"), str(HERE)]


def main() -> None:
    """Start the demo and serve it until the Space is stopped."""
    import app as demo
    from shell.options import DemoOptions

    demo.private_environment()
    options = DemoOptions(models_dir=str(HERE / "models"), allow_hub=False, max_model_gb=4.0)
    page = demo.build(options, demo.open_store(options))
    # Who may come in is decided by the Space (private or public), so the demo asks nobody. Where it listens, too.
    host = os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1")
    port = int(os.environ.get("GRADIO_SERVER_PORT", "7860"))
    # Nothing of the folder that it is started from can be asked for: gradio offers files of the working directory.
    os.chdir(os.environ["GRADIO_TEMP_DIR"])
    page.launch(**{**demo.launch_arguments(options), "server_name": host, "server_port": port})


if __name__ == "__main__":
    main()
'''

README = """---
title: {title}
emoji: 🪜
colorFrom: blue
colorTo: green
sdk: gradio
sdk_version: {gradio}
python_version: "3.11"
app_file: app.py
license: apache-2.0
short_description: Every model family of NLP, one rung each, side by side
tags:
- nlpladder
---

# {title}

Word counts, word vectors, n-grams, recurrent networks and transformers on the same texts, side by side. This Space was
written by `scripts/build_space.py` of nlpladder {version}; it trains nothing and keeps nothing that is typed.

{models}

The weights are safetensors and json; opening them runs no code. Models of the Hub cannot be loaded here.
"""


def requirements(root: Path) -> str:
    """Return the requirements of a Space: the project's dependencies in the versions that the tests run with.

    gradio is not among them: a Space installs it by the ``sdk_version`` of its README. What the dependencies need
    themselves is left to pip, since a Space adds packages of its own that constraints.txt does not know.

    Args:
        root: Of the checkout.

    Raises:
        ConfigError: constraints.txt has no version of one.
    """
    versions = versions_of(root)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [f"--extra-index-url {CPU_TORCH}"]
    for requirement in project["dependencies"]:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        if _normalised(name) not in versions:
            raise ConfigError(f"constraints.txt has no version of {name}, which pyproject.toml asks for.")
        lines.append(f"{name}=={versions[_normalised(name)]}")
    return "\n".join(lines) + "\n"


def versions_of(root: Path) -> dict[str, str]:
    """Return the versions of constraints.txt by normalised name.

    Args:
        root: Of the checkout.
    """
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.strip().partition("==") for line in lines if "==" in line and not line.startswith("#")]
    return {_normalised(name): version.split("+")[0] for name, _, version in pairs}


def card(title: str, models: Sequence[str], root: Path) -> str:
    """Return the README of a Space, whose head says which gradio it is to install.

    Args:
        title: Of the Space.
        models: Names below ``models/``.
        root: Of the checkout.

    Raises:
        ConfigError: constraints.txt has no version of gradio.
    """
    import nlpladder

    gradio = versions_of(root).get("gradio")
    if gradio is None:
        raise ConfigError("constraints.txt has no version of gradio.")
    lines = "\n".join(f"- `{name}`" for name in models)
    return README.format(title=title, gradio=gradio, version=nlpladder.__version__, models=f"Models:\n\n{lines}")


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
