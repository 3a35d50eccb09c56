"""Opening causal language models: from a Hub id or a folder; safetensors only, nothing left at random."""

from __future__ import annotations

from typing import Any

from nlpladder.errors import ModelError
from nlpladder.models.pretrained.loading import (
    check_reachable,
    explain_loading_error,
    quiet_loading,
    register_own_models,
)


def load_causal_model(path: str, **arguments: Any) -> tuple[Any, Any]:
    """Open a causal language model and its tokenizer.

    Args:
        path: Folder or Hub id of any model that ``AutoModelForCausalLM`` knows, ours included.
        arguments: Passed on to ``from_pretrained`` (revision, token, cache_dir, …).

    Returns:
        The model (float32, evaluation mode) and its tokenizer.

    Raises:
        ModelError: Something is missing, damaged, or does not fit.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    register_own_models()
    check_reachable(path)
    try:
        with quiet_loading():
            tokenizer = AutoTokenizer.from_pretrained(path, **arguments)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                path, use_safetensors=True, dtype="float32", output_loading_info=True, **arguments
            )
    except (OSError, ValueError, RuntimeError) as error:
        if "size mismatch" in str(error) or "mismatched" in str(error):
            raise ModelError(
                f"The weights in {path} do not have the shapes that its config.json asks for: {_first_mismatch(error)}"
                ". Was one of the two replaced? Save or download the model again."
            ) from error
        raise explain_loading_error(path, error) from error
    except Exception as error:
        if type(error).__name__ == "SafetensorError":
            raise ModelError(
                f"The weights in {path} are damaged or cut short ({error}). Save or download them again."
            ) from error
        raise
    model, info = loaded
    missing = sorted(str(key) for key in info["missing_keys"])
    if missing:
        raise ModelError(
            f"{path} holds no weights for {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}: its architecture "
            f"is not a {type(model).__name__}, or the file is not whole. Left as they are, they would be random."
        )
    return model.eval(), tokenizer


def _first_mismatch(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "size mismatch" in line or "mismatch" in line.lower()]
    return (lines or [str(error).splitlines()[0]])[0][:300]
