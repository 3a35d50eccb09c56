"""What all models that users hold together with their tokenizer have in common: counted, saved, pushed alike."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any


class ModelWithTokenizer:
    """A model of transformers, ours or a ``PeftModel``, and its tokenizer, in one object and in one folder.

    Attributes:
        model: A torch module with ``config`` and ``save_pretrained``.
        tokenizer: A ``PreTrainedTokenizerBase``.
    """

    model: Any
    tokenizer: Any

    def num_parameters(self) -> int:
        """Count all parameters, the frozen ones of an adapter's base included; tied ones once."""
        return int(sum(parameter.numel() for parameter in self.model.parameters()))

    def evaluating(self) -> AbstractContextManager[None]:
        """Return a context in evaluation mode without gradients; the mode before that comes back afterwards."""
        from nlpladder.models.evaluating import evaluating

        return evaluating(self.model)

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> None:
        """Write model and tokenizer into one folder, in the layout of transformers (or peft)."""
        from nlpladder.models.pretrained.adapter_files import save_model

        # The model comes last: a folder that was cut short holds none, and is no model with other settings.
        self._write_settings(Path(save_directory))
        self.tokenizer.save_pretrained(save_directory)
        save_model(self.model, save_directory)

    def push_to_hub(self, repo_id: str, **arguments: Any) -> str:
        """Upload what `save_pretrained` writes, without a card: see `nlpladder.models.uploading.push_saved`."""
        from nlpladder.models.uploading import push_saved

        return push_saved(self, repo_id, **arguments)

    def _write_settings(self, folder: Path) -> None:
        """Keep how texts are read, in the model's config or in a file beside it; by default there is nothing to keep.

        Args:
            folder: Where the model is being saved; it need not be there yet.
        """
