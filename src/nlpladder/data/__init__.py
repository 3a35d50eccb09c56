"""Loading labelled text, plain text and sentence pairs from files, folders, the Hub and the built-in worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlpladder.data.conll import read_conll
    from nlpladder.data.instructions import InstructionText, load_instructions
    from nlpladder.data.loading import load_text_dataset
    from nlpladder.data.parallel import ParallelText, load_parallel_text
    from nlpladder.data.preferences import PreferenceText, load_preferences
    from nlpladder.data.running_text import RunningText, load_running_text
    from nlpladder.data.text_dataset import TextDataset
    from nlpladder.data.unlabeled import load_unlabeled_text

__all__ = [
    "InstructionText",
    "ParallelText",
    "PreferenceText",
    "RunningText",
    "TextDataset",
    "load_instructions",
    "load_parallel_text",
    "load_preferences",
    "load_running_text",
    "load_text_dataset",
    "load_unlabeled_text",
    "read_conll",
]

_HOME = {
    "InstructionText": "instructions",
    "ParallelText": "parallel",
    "PreferenceText": "preferences",
    "RunningText": "running_text",
    "load_instructions": "instructions",
    "load_parallel_text": "parallel",
    "load_preferences": "preferences",
    "load_running_text": "running_text",
    "TextDataset": "text_dataset",
    "load_text_dataset": "loading",
    "load_unlabeled_text": "unlabeled",
    "read_conll": "conll",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package stays cheap."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
