"""The house: imports go down only, families do not know each other, and light modules stay light."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from helpers import REPOSITORY

SOURCE = REPOSITORY / "src" / "nlpladder"
FLOORS = {
    **dict.fromkeys(("errors", "protocols", "config", "config_files", "generation"), 0),
    **dict.fromkeys(("nn", "data", "text"), 1),
    **dict.fromkeys(("models", "evaluation", "views"), 2),
    **dict.fromkeys(("training", "bias"), 3),
    "hub": 4,
    **dict.fromkeys(
        (
            "ladder",
            "tasks",
            "finetuning",
            "train_rung",
            "runs",
            "launch",
            "search",
            "train_neural_language_model",
            "train_translation",
            "neural_rungs",
            "train_language_model",
            "train_embeddings",
            "embedding_trainers",
            "pretrain_model",
            "bias_laboratory",
            "bias_mitigation",
            "climb",
            "drift",
            "serving",
            "onnx_card",
            "onnx_export",
            "__main__",
            "__init__",
        ),
        5,
    ),
}


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nlpladder"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("nlpladder"))


def room(dotted):
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else "__init__"


MODULES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_only(path):
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    assert own in FLOORS, f"{own} has no floor in the house"
    for name in imports_of(path):
        if name == "nlpladder" or name.startswith("nlpladder.__"):
            continue
        assert FLOORS[room(name)] <= FLOORS[own], f"{path.name} on floor {FLOORS[own]} imports {name}"
        if own == "views":
            assert room(name) != "models", "views draw plain arrays and know no model"


def test_model_families_never_import_each_other():
    for path in (SOURCE / "models").rglob("*.py"):
        family = path.relative_to(SOURCE / "models").parts
        if len(family) == 1:
            continue
        for name in imports_of(path):
            parts = name.split(".")
            foreign = (
                parts[1] == "models"
                and len(parts) > 2
                and (SOURCE / "models" / parts[2]).is_dir()
                and parts[2] != family[0]
            )
            # Opening a saved model of any family needs the table of all of them.
            assert not foreign or path.name == "loading.py", f"{path} imports {name}"


def test_nothing_imports_recipes_scripts_or_demos():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] in ("recipes", "scripts", "demos") for name in names), path


HEAVY = ("torch", "transformers", "datasets", "sklearn", "numba", "gensim", "matplotlib", "pandas", "evaluate", "nltk")


@pytest.mark.parametrize(
    "statement", ["import nlpladder", "import nlpladder.ladder, nlpladder.config, nlpladder.training.options"]
)
def test_light_modules_import_nothing_heavy(statement):
    """What makes `import nlpladder` and --help fast; a clock would only measure the machine."""
    code = f"{statement}; import sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert result.stdout.strip() == "[]"


def test_files_are_one_concept_long():
    long = {
        str(path.relative_to(SOURCE)): count for path in MODULES if (count := len(path.read_text().splitlines())) > 400
    }
    assert long == {}
