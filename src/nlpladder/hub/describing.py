"""What a saved model is and what it can do, told from its json files and the headers of its weights: nothing is opened.

So a program can list a hundred run folders in the time of reading their configs, without torch, and open only the one
that is asked for. What is told follows the tables of `nlpladder.hub.loading`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nlpladder.errors import ModelError
from nlpladder.hub.loading import class_entry
from nlpladder.models.artefact_classes import ARTEFACTS
from nlpladder.models.onnx.names import GRAPH_NAME, MODEL_TYPE
from nlpladder.models.pretrained.missing import no_folder, no_model
from nlpladder.models.saved_files import (
    ADAPTER_CONFIG_NAME,
    CONFIG_NAME,
    WEIGHTS_NAME,
    check_inside,
    check_link,
    check_tokenizer_files,
    read_header,
    read_settings,
    sizes_of,
    weight_files,
)
from nlpladder.models.sentence_pooling import no_encoder, read_pooling
from nlpladder.protocols import Task

Kind = Literal[
    "classifier", "language_model", "masked_language_model", "word_vectors", "translator", "token_classifier",
    "question_answerer", "encoder",
]  # fmt: skip
#: What a model can be asked for.
Ability = Literal[
    "classify", "language_model", "vectors", "translate", "masked_language_model", "tag", "answer", "embed", "attention"
]

#: Class that `nlpladder.load` returns -> what it is, and what it can be asked for.
_KINDS: dict[str, tuple[Kind, Ability]] = {
    "MajorityClassifier": ("classifier", "classify"),
    "NaiveBayesClassifier": ("classifier", "classify"),
    "LinearTextClassifier": ("classifier", "classify"),
    "MeanVectorsClassifier": ("classifier", "classify"),
    "SequenceClassifier": ("classifier", "classify"),
    "OnnxClassifier": ("classifier", "classify"),
    "NGramLanguageModel": ("language_model", "language_model"),
    "InterpolatedLanguageModel": ("language_model", "language_model"),
    "CacheLanguageModel": ("language_model", "language_model"),
    "NeuralLanguageModel": ("language_model", "language_model"),
    "MaskedLM": ("masked_language_model", "masked_language_model"),
    "WordVectors": ("word_vectors", "vectors"),
    "Translator": ("translator", "translate"),
    "TokenClassifier": ("token_classifier", "tag"),
    "QuestionAnswerer": ("question_answerer", "answer"),
    "SentenceEncoder": ("encoder", "embed"),
}
#: As `nlpladder.nn.losses.TASK_OF_PROBLEM_TYPE`, which imports torch.
_TASKS: dict[str, Task] = {
    "single_label_classification": "single_label",
    "multi_label_classification": "multi_label",
    "regression": "regression",
}
#: What configs call the number of attention heads.
_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "attention_heads")
#: Model types that have heads, or layers, but no attention weights.
_WITHOUT_ATTENTION = ("mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm", "fnet", "nlpladder_recurrent_lm")
_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class ModelDescription:
    """What a saved model is, before it is opened.

    Attributes:
        kind: What `nlpladder.load` makes of it; ``encoder`` is a body without a head.
        abilities: What it can be asked for; ``attention`` if it has attention weights to show. Empty for what
            `nlpladder.load` refuses: a decoder without its head, or a head that is none of ours.
        model_type: As its config says; empty where it does not.
        parameters: Numbers that were learnt, the base of an adapter included; None where the files here do not tell.
        num_bytes: Memory that its weights take once opened: neural models are opened in float32. Of an adapter with the
            base's, where that lies in a folder of this machine.
        task: What the labels of a classifier are; None for every other kind.
    """

    kind: Kind
    abilities: frozenset[Ability]
    model_type: str
    parameters: int | None
    num_bytes: int
    task: Task | None = None


def describe_model(folder: str | os.PathLike[str]) -> ModelDescription:
    """Tell what a folder holds, from its configs and the headers of its safetensors.

    Args:
        folder: A run folder or a model folder.

    Raises:
        ModelError: It holds no model, or a file is missing, damaged, or lies outside the folder.
    """
    place = Path(folder)
    adapter_file, config_file = place / ADAPTER_CONFIG_NAME, place / CONFIG_NAME
    for file in (adapter_file, config_file):
        if file.is_file():
            check_link(place, file)
    if not (adapter_file.is_file() or config_file.is_file()):
        raise no_model(place) if place.is_dir() else no_folder(place)
    adapter = read_settings(adapter_file) if adapter_file.is_file() else None
    base = None if adapter is None else _base_folder(place, adapter)
    config = read_settings(config_file) if config_file.is_file() else {}
    if not config and base is not None:
        config = read_settings(base / CONFIG_NAME)
    name = class_entry(config, adapter).rpartition(":")[2]
    kind, abilities = _kind_and_abilities(name, config)
    if kind == "encoder" and (adapter is not None or no_encoder(config)):
        abilities = frozenset()
    elif kind == "encoder":
        read_pooling(place)  # which refuses what cannot be opened
    parameters, num_bytes = _sizes(place, config, adapter, base)
    model_type = config.get("model_type")
    return ModelDescription(
        kind,
        abilities,
        model_type if isinstance(model_type, str) else "",
        parameters,
        num_bytes,
        _task_of(config, name) if kind == "classifier" else None,
    )


def check_model(folder: str | os.PathLike[str]) -> ModelDescription:
    """Look at all that `nlpladder.load` looks at before it opens a model: for who passes a model on unopened.

    Args:
        folder: A run folder or a model folder.

    Returns:
        What `describe_model` tells of it.

    Raises:
        ModelError: It holds no model, or a file is missing, damaged, cut short, or not safe to open; the sentence names
            it.
    """
    from nlpladder.models.pretrained.loading import check_tokenizer_json
    from nlpladder.models.safe_folders import check_folder

    place = Path(folder)
    description = describe_model(place)
    check_folder(place, name=str(place))
    if (place / ADAPTER_CONFIG_NAME).is_file():
        if not (place / "tokenizer_config.json").is_file():
            return description  # the tokenizer of its base is used
    elif (model_type := read_settings(place / CONFIG_NAME).get("model_type")) in ARTEFACTS and model_type != MODEL_TYPE:
        return description  # their vocabularies lie in their arrays
    check_tokenizer_files(str(place))
    check_tokenizer_json(place)
    return description


def _architectures(config: Mapping[str, Any]) -> list[str]:
    found = config.get("architectures")
    return [str(one) for one in found] if isinstance(found, list) else []


def _kind_and_abilities(name: str, config: Mapping[str, Any]) -> tuple[Kind, frozenset[Ability]]:
    if name not in _KINDS:
        return "encoder", frozenset()
    kind, ability = _KINDS[name]
    return kind, frozenset((ability, "attention") if _has_attention(config) else (ability,))


def _has_attention(config: Mapping[str, Any]) -> bool:
    """Tell whether a model has attention weights: of its layers, of its decoder, or of the pooling of its states."""
    model_type = str(config.get("model_type"))
    if model_type in _WITHOUT_ATTENTION:
        return False
    if model_type == "nlpladder_seq2seq":
        return config.get("attention", "additive") != "none"
    return model_type == "nlpladder_recurrent_classifier" or any(_is_count(config.get(key)) for key in _HEADS)


def _task_of(config: Mapping[str, Any], name: str) -> Task:
    """Return what the labels of a classifier are, as the opened model would say."""
    if name != "SequenceClassifier":
        return next((task for task in _TASKS.values() if task == config.get("task")), "single_label")
    labels = config.get("id2label")
    number = len(labels) if isinstance(labels, Mapping) else config.get("num_labels", 2)
    return _TASKS.get(str(config.get("problem_type")), "regression" if number == 1 else "single_label")


def _sizes(
    folder: Path, config: Mapping[str, Any], adapter: Mapping[str, Any] | None, base: Path | None
) -> tuple[int | None, int]:
    """Return the parameters of a model, and the bytes of its weights in memory."""
    model_type = str(config.get("model_type"))
    if adapter is None and model_type in ("nlpladder_ngram_interpolation", "nlpladder_ngram_cache"):
        return _sizes_of_mixture(folder, config)
    if adapter is None and model_type == "model2vec":
        return _sizes_of_vectors(folder, config)
    if adapter is None and model_type == MODEL_TYPE:
        return _sizes_of_graph(folder, config)
    headers = [read_header(file) for file in weight_files(folder, str(folder))]
    numbers, num_bytes = sizes_of(headers).numbers, _bytes_of(headers)
    if adapter is None:
        if model_type == "nlpladder_ngram":
            return _ngram_parameters(config), num_bytes
        return numbers, num_bytes if model_type in ARTEFACTS else _FLOAT32_BYTES * numbers
    if base is None:
        return _recorded_parameters(folder), _FLOAT32_BYTES * numbers
    below = sizes_of(read_header(file) for file in weight_files(base, str(base))).numbers
    total = _recorded_parameters(folder)
    if total is None and _architectures(read_settings(base / CONFIG_NAME)) == _architectures(config):
        total = below + numbers
    return total, _FLOAT32_BYTES * (below + numbers)


def _sizes_of_mixture(folder: Path, config: Mapping[str, Any]) -> tuple[int | None, int]:
    """Return the sizes of a model that holds others: a mixture counts a weight a part, a cache its one weight."""
    models = config.get("models")
    names = [str(one) for one in models] if isinstance(models, list) else ["base_model"]
    if len(names) > 64 or folder.name in names:
        raise ModelError(f"{folder / CONFIG_NAME} names {len(names)} models inside, more than any mixture has.")
    parts = []
    for name in names:
        inner = check_inside(folder, name, str(folder / CONFIG_NAME))
        if not (inner / CONFIG_NAME).is_file():
            raise ModelError(f"{folder} is not whole: it holds no model {name}. Save or download it again.")
        inside = read_settings(inner / CONFIG_NAME)
        mixture = inside.get("model_type") == "nlpladder_ngram_interpolation" and config.get("models") is None
        header = [] if mixture else [read_header(file) for file in weight_files(inner, str(inner))]
        parts.append(_sizes_of_mixture(inner, inside) if mixture else (_ngram_parameters(inside), _bytes_of(header)))
    counted = [parameters for parameters, _ in parts if parameters is not None]
    total = sum(counted) + len(parts) if len(counted) == len(parts) else None
    return total, sum(num_bytes for _, num_bytes in parts)


def _sizes_of_vectors(folder: Path, config: Mapping[str, Any]) -> tuple[int | None, int]:
    """Return the sizes of word vectors: ours end in a row for unknown words, which was not learnt."""
    inner = folder if (folder / WEIGHTS_NAME).is_file() else folder / "0_StaticEmbedding"
    if not (inner / WEIGHTS_NAME).is_file():
        weight_files(folder, str(folder))  # says what is missing
    check_link(folder, inner / WEIGHTS_NAME)
    header = read_header(inner / WEIGHTS_NAME)
    shapes = {name: entry["shape"] for name, entry in header.items()}
    table = shapes.get("embeddings", shapes.get("embedding.weight"))
    if table is None or len(table) != 2:
        raise ModelError(f"{inner / WEIGHTS_NAME} holds no matrix `embeddings`: it is no folder of word vectors.")
    rows = shapes["mapping"][0] if len(shapes.get("mapping", ())) == 1 else table[0]
    ours = config.get("nlpladder")
    if isinstance(ours, Mapping) and ours.get("num_words") == rows - 1:
        rows -= 1
    numbers = rows * table[1] + math.prod(shapes.get("subword_vectors", (0,)))
    return numbers, _FLOAT32_BYTES * numbers


def _sizes_of_graph(folder: Path, config: Mapping[str, Any]) -> tuple[int | None, int]:
    """Return the sizes of an exported classifier: its config has the count, and its graph is held as it is."""
    graph, parameters = folder / GRAPH_NAME, config.get("parameters")
    check_link(folder, graph)
    if not graph.is_file():
        raise ModelError(f"{folder} holds no {GRAPH_NAME}. Export or download the model again.")
    return parameters if _is_count(parameters) else None, graph.stat().st_size


def _ngram_parameters(config: Mapping[str, Any]) -> int | None:
    """Return the parameters of an n-gram model, whose tables hold them packed: its config has the counts."""
    counts = config.get("counts")
    if not isinstance(counts, list) or not counts or not all(_is_count(count) for count in counts):
        return None
    return 2 * sum(counts) - counts[-1]


def _bytes_of(headers: Iterable[Mapping[str, Mapping[str, Any]]]) -> int:
    return sum(entry["data_offsets"][1] - entry["data_offsets"][0] for header in headers for entry in header.values())


def _recorded_parameters(folder: Path) -> int | None:
    """Return what a run recorded: the head of an adapted classifier stands in no file of its base."""
    try:
        found = json.loads((folder / "run.json").read_text(encoding="utf-8"))["parameters"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if _is_count(found) else None


def _base_folder(folder: Path, adapter: Mapping[str, Any]) -> Path | None:
    """Return the folder of an adapter's base, None where it is a Hub id or has moved."""
    named = adapter.get("base_model_name_or_path")
    if not isinstance(named, str) or not named or "\0" in named:
        return None
    beside = Path(os.path.normpath(folder / named))
    base = beside if named.startswith(".") and beside.is_dir() else Path(named)
    return base if (base / CONFIG_NAME).is_file() else None


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0
