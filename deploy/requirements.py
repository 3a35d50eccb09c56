"""Print what an image has to install, one requirement a line: pyproject.toml's dependencies, less what is not needed.

    python requirements.py pyproject.toml --extra serve --without "matplotlib nltk"

It runs in the image's first stage before anything is installed, so it uses the standard library alone.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path


def requirements_of(pyproject: Path, extras: Iterable[str], without: Iterable[str]) -> list[str]:
    """Return the requirements of a project and some of its extras.

    Args:
        pyproject: The file.
        extras: Names of optional dependencies that are wanted too.
        without: Names of packages that are left out.

    Raises:
        ValueError: There is no such extra, or what is to be left out is no dependency.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    optional = project.get("optional-dependencies", {})
    found = list(project["dependencies"])
    for extra in extras:
        if extra not in optional:
            raise ValueError(f"{pyproject} has no extra {extra!r}; there are: {', '.join(optional)}.")
        found += optional[extra]
    unwanted = {normalised(name) for name in without}
    unknown = unwanted - {normalised(line) for line in found}
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))} cannot be left out: {pyproject} does not name it.")
    return [line for line in found if normalised(line) not in unwanted]


def normalised(requirement: str) -> str:
    """Return the name in a requirement as package indexes compare it (PEP 503).

    Args:
        requirement: Such as ``rouge_score>=0.1.2``.
    """
    name = re.match(r"\s*[A-Za-z0-9._-]*", requirement)
    return re.sub(r"[-_.]+", "-", name.group().strip() if name else "").lower()


def main() -> None:
    """Print the requirements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pyproject", type=Path)
    parser.add_argument("--extra", default="", help="optional dependencies that are wanted too, with spaces between")
    parser.add_argument("--without", default="", help="packages that are left out, with spaces between")
    arguments = parser.parse_args()
    try:
        lines = requirements_of(arguments.pyproject, arguments.extra.split(), arguments.without.split())
    except (OSError, ValueError) as error:
        sys.exit(f"{error}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
