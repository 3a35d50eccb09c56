"""``nlpladder.load``: open any rung from a folder or a Hub id, from safetensors and json only."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from nlpladder.errors import ModelError, did_you_mean

#: ``model_type`` of the artefacts without a torch module -> where their class is.
ARTEFACTS: dict[str, str] = {
    "nlpladder_majority": "nlpladder.models.counts.majority:MajorityClassifier",
    "nlpladder_naive_bayes": "nlpladder.models.counts.naive_bayes:NaiveBayesClassifier",
    "nlpladder_linear": "nlpladder.models.counts.linear:LinearTextClassifier",
    "nlpladder_mean_vectors": "nlpladder.models.vectors.mean_vectors:MeanVectorsClassifier",
    "model2vec": "nlpladder.models.vectors.word_vectors:WordVectors",
    "nlpladder_ngram": "nlpladder.models.ngram.model:NGramLanguageModel",
    "nlpladder_ngram_interpolation": "nlpladder.models.ngram.interpolation:InterpolatedLanguageModel",
    "nlpladder_ngram_cache": "nlpladder.models.ngram.cache:CacheLanguageModel",
}


def load(path_or_repo_id: str | os.PathLike[str], *, base_model: str | None = None, **arguments: Any) -> Any:
    """Open a saved rung.

    Args:
        path_or_repo_id: A run folder, a model folder or a Hub id.
        base_model: Where an adapter's base model lies, when it has moved since training.
        arguments: ``revision``, ``token``, ``cache_dir``, ``local_files_only``.

    Returns:
        A `TextClassifier`, `LanguageModel` or `WordEmbeddings` of `nlpladder.protocols`, by what the folder holds.

    Raises:
        ModelError: when there is no model, or it is damaged or of an unknown kind.
    """
    from nlpladder.models.pretrained.loading import check_reachable

    path = os.fspath(path_or_repo_id)
    if os.path.isfile(path):
        raise ModelError(
            f"{path} is a file; load opens folders and Hub ids. Vector files are opened by WordVectors.open (in "
            "nlpladder.models.vectors.word_vectors), ARPA files by NGramLanguageModel.from_arpa (in "
            "nlpladder.models.ngram.model)."
        )
    check_reachable(path)
    model_type = _model_type(path, arguments)
    if model_type in ARTEFACTS:
        import importlib

        module, _, name = ARTEFACTS[model_type].partition(":")
        return getattr(importlib.import_module(module), name).from_pretrained(path, **arguments)
    from nlpladder.models.sequence_classifier import SequenceClassifier

    return SequenceClassifier.from_pretrained(path, base_model=base_model, **arguments)


def _model_type(path: str, arguments: dict[str, Any]) -> str | None:
    """Read ``model_type`` from the config."""
    from nlpladder.models.pretrained.loading import explain_loading_error

    try:
        if os.path.isdir(path):
            file = Path(path) / "config.json"
            if not file.is_file():
                inside = [entry.name for entry in Path(path).iterdir() if (entry / "config.json").is_file()]
                hint = did_you_mean(inside[0], inside) if inside else ""
                raise ModelError(f"{path} holds no config.json, so it is no saved model.{hint}")
        else:
            from huggingface_hub import HfApi

            known = {key: arguments[key] for key in ("revision", "cache_dir", "local_files_only") if key in arguments}
            file = Path(HfApi(token=arguments.get("token")).hf_hub_download(path, "config.json", **known))
        return json.loads(file.read_text(encoding="utf-8")).get("model_type")
    except json.JSONDecodeError as error:
        raise ModelError(
            f"The config.json of {path} is damaged ({error}). Save or download the model again."
        ) from error
    except ModelError:
        raise
    except Exception as error:  # the Hub client has many kinds; each becomes one sentence
        raise explain_loading_error(path, error) from error
