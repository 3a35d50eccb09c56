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

#: How the name of an architecture ends -> what holds such a model and its tokenizer.
GENERATORS: dict[str, str] = {
    "ForConditionalGeneration": "nlpladder.models.translation:Translator",
    "MTModel": "nlpladder.models.translation:Translator",
    "ForCausalLM": "nlpladder.models.neural_language_model:NeuralLanguageModel",
    "LMHeadModel": "nlpladder.models.neural_language_model:NeuralLanguageModel",
    "ForTokenClassification": "nlpladder.models.token_classifier:TokenClassifier",
    "ForQuestionAnswering": "nlpladder.models.question_answerer:QuestionAnswerer",
}

#: What an adapter says that it is for -> what holds it, its base and the tokenizer.
ADAPTED: dict[str, str] = {
    "SEQ_CLS": "nlpladder.models.sequence_classifier:SequenceClassifier",
    "TOKEN_CLS": GENERATORS["ForTokenClassification"],
    "QUESTION_ANS": GENERATORS["ForQuestionAnswering"],
    "CAUSAL_LM": GENERATORS["ForCausalLM"],
    "SEQ_2_SEQ_LM": GENERATORS["ForConditionalGeneration"],
}


def load(path_or_repo_id: str | os.PathLike[str], *, base_model: str | None = None, **arguments: Any) -> Any:
    """Open a saved rung.

    Args:
        path_or_repo_id: A run folder, a model folder or a Hub id.
        base_model: Where an adapter's base model lies, when it has moved since training.
        arguments: ``revision``, ``token``, ``cache_dir``, ``local_files_only``.

    Returns:
        A `TextClassifier`, `LanguageModel`, `WordEmbeddings`, `Translator`, `TokenClassifier` or `QuestionAnswerer`,
        by what the folder holds; the first three are interfaces of `nlpladder.protocols`.

    Raises:
        ModelError: when there is no model, or it is damaged or of an unknown kind.
    """
    from nlpladder.models.pretrained.loading import adapter_config, check_reachable

    path = os.fspath(path_or_repo_id)
    if os.path.isfile(path):
        raise ModelError(
            f"{path} is a file; load opens folders and Hub ids. Vector files are opened by WordVectors.open (in "
            "nlpladder.models.vectors.word_vectors), ARPA files by NGramLanguageModel.from_arpa (in "
            "nlpladder.models.ngram.model)."
        )
    check_reachable(path)
    adapter = adapter_config(path, arguments) if _may_be_adapter(path) else None
    if adapter is not None and adapter.get("task_type") in ADAPTED:
        return _class_of(ADAPTED[adapter["task_type"]]).from_pretrained(path, base_model=base_model, **arguments)
    config = _read_config(path, arguments)
    model_type = config.get("model_type")
    if model_type in ARTEFACTS:
        return _class_of(ARTEFACTS[model_type]).from_pretrained(path, **arguments)
    for architecture in config.get("architectures") or ():
        for ending, wrapper in GENERATORS.items():
            if architecture.endswith(ending):
                moved = {} if base_model is None else {"base_model": base_model}
                return _class_of(wrapper).from_pretrained(path, **moved, **arguments)
    from nlpladder.models.sequence_classifier import SequenceClassifier

    return SequenceClassifier.from_pretrained(path, base_model=base_model, **arguments)


def _may_be_adapter(path: str) -> bool:
    """Tell whether it is worth looking: in a folder that is quick, a Hub id takes a request."""
    return not os.path.isdir(path) or (Path(path) / "adapter_config.json").is_file()


def _class_of(entry: str) -> Any:
    """Import and return ``module:class``."""
    import importlib

    module, _, name = entry.partition(":")
    return getattr(importlib.import_module(module), name)


def _read_config(path: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Read ``config.json``."""
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
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except json.JSONDecodeError as error:
        raise ModelError(
            f"The config.json of {path} is damaged ({error}). Save or download the model again."
        ) from error
    except ModelError:
        raise
    except Exception as error:  # the Hub client has many kinds; each becomes one sentence
        raise explain_loading_error(path, error) from error
