"""What lies in scripts/: commands, and in packages beside them what a command is made of."""

from __future__ import annotations

import ast

import pytest

from helpers import REPOSITORY

SCRIPTS = REPOSITORY / "scripts"
COMMANDS = sorted(SCRIPTS.glob("*.py"))
PARTS = sorted(SCRIPTS.glob("*/*.py"))


def is_started(path):
    """Tell whether a module does something when it is started."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = [node.test for node in tree.body if isinstance(node, ast.If)]
    return any(isinstance(test, ast.Compare) and ast.unparse(test) == "__name__ == '__main__'" for test in tests)


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_every_file_is_a_command_whose_docstring_shows_how_it_is_typed(path):
    assert is_started(path)
    assert f"python scripts/{path.name}" in (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")


def test_parts_of_commands_are_no_commands_and_stand_in_packages_that_name_theirs():
    assert PARTS
    assert [path.name for path in PARTS if is_started(path)] == []
    commands = {path.name for path in COMMANDS}
    for folder in {path.parent for path in PARTS}:
        said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        assert any(f"``{name}``" in said for name in commands), folder
