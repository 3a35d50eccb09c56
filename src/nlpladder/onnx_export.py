"""A fine-tuned classifier as an ONNX graph: exported, rounded to 8 bits if wished, compared, and refused if it changed.

``scripts/export_onnx.py`` is its command. Nothing is written before the exported model has answered the texts of a test
set, and nothing if it answers too many of them differently.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nlpladder.config import option
from nlpladder.errors import CheckFailedError, ConfigError, ModelError, RunError

#: What is carried over from a run as it is.
CARRIED = ("profile.json",)
REPORT_FILE = "export.json"
TORCH, FLOAT32, INT8 = "PyTorch fp32", "ONNX fp32", "ONNX int8"


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is exported, where to, and what it is compared on."""

    run: str = option(help="run folder, model folder or Hub id of a classifier; an adapter is merged first")
    output_dir: str = option(help="a folder that does not exist yet")
    quantize: Literal["int8"] | None = option(None, help="int8: weights and activations of the layers in 8 bits")
    dataset: str | None = option(None, help="labelled texts to compare on, split test; by default those of the run")
    text_column: str | None = option(None, help="column with the text; found by name if not given")
    label_column: str | None = option(None, help="column with the label; found by name if not given")
    max_texts: int | None = option(None, help="compare on at most so many texts (stratified)")
    largest_label_change: float = option(0.01, help="share of texts that may get another label; above it, refuse")
    logit_tolerance: float = option(1e-4, help="largest distance of a logit of the float32 graph from PyTorch's")
    speed_texts: int = option(192, help="texts whose time is taken; 0 takes none")
    base_model: str | None = option(None, help="where an adapter's base model is, when it has moved since training")

    def __post_init__(self) -> None:
        if not 0 <= self.largest_label_change <= 1:
            raise ConfigError(f"largest_label_change is a share from 0 to 1, got {self.largest_label_change}.")
        if not self.logit_tolerance > 0:
            raise ConfigError(f"logit_tolerance must be above 0, got {self.logit_tolerance}.")
        if self.speed_texts < 0:
            raise ConfigError(f"speed_texts must be 0 or more, got {self.speed_texts}.")


def export_classifier(options: ExportOptions) -> dict[str, Any]:
    """Export a classifier and return the report that is also written beside it, as ``export.json``.

    Args:
        options: See `ExportOptions`.

    Raises:
        RunError: The output folder exists.
        ModelError: The model is no neural classifier, or cannot be exported.
        DataError: The texts cannot be read, or have other labels.
        CheckFailedError: The exported model answers too differently; nothing was written.
    """
    import nlpladder
    from nlpladder.models.onnx.names import need

    check_export(options)
    for module in ("onnx", "onnxruntime", "onnxscript"):
        need(module)
    target = Path(options.output_dir)
    holder = _plain(nlpladder.load(options.run, base_model=options.base_model), options.run)
    texts, labels, data_name = read_texts(options, holder)
    exported, checks = _exported(holder, options)
    report = _compare(holder, exported, texts, labels, options)
    report |= {"exported_from": _shown_name(options.run), "tested": f"{data_name}, {len(texts):,} texts", **checks}
    kept = exported[INT8 if options.quantize else FLOAT32]
    _refuse_changes(report["rows"][-1], options)
    _write(kept, target, report, Path(options.run))
    return report


def check_export(options: ExportOptions) -> None:
    """Refuse at once what an export would refuse after seconds of loading; a model of the Hub is not looked at.

    Args:
        options: See `ExportOptions`.

    Raises:
        RunError: The output folder exists.
        ModelError: The folder holds no neural classifier.
    """
    from nlpladder.hub.describing import describe_model
    from nlpladder.models.artefact_classes import ARTEFACTS
    from nlpladder.models.onnx.names import MODEL_TYPE
    from nlpladder.models.saved_files import ADAPTER_CONFIG_NAME

    target, folder = Path(options.output_dir), Path(options.run)
    if target.exists():
        raise RunError(f"{target} exists already. Give another folder; nothing is overwritten.")
    if not folder.is_dir():
        return
    found = describe_model(folder)
    if found.model_type == MODEL_TYPE:
        raise ModelError(f"{folder} is exported already. Name the run that it comes from.")
    if found.kind != "classifier":
        what = found.kind.replace("_", " ")
        raise ModelError(
            f"{folder} holds {'an' if what[0] in 'aeiou' else 'a'} {what}; only neural text classifiers are exported. "
            "It is served as it is, by PyTorch."
        )
    if found.model_type in ARTEFACTS and not (folder / ADAPTER_CONFIG_NAME).is_file():
        raise ModelError(
            f"{folder} holds a classifier that is no neural network; only neural ones (SequenceClassifier) are "
            "exported. Rungs that count words are fast without."
        )


def _plain(holder: Any, name: str) -> Any:
    """Return a classifier without adapter, in float32 on the processor."""
    from nlpladder.models.pretrained.merging import merge_adapter
    from nlpladder.models.sequence_classifier import SequenceClassifier

    if not isinstance(holder, SequenceClassifier):
        raise ModelError(
            f"{name} holds a {type(holder).__name__}; only neural text classifiers (SequenceClassifier) are exported."
        )
    if hasattr(holder.model, "peft_config"):
        holder, _ = merge_adapter(holder)
    holder.model.to("cpu").float().eval()
    return holder


def _exported(holder: Any, options: ExportOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the exported classifiers by name, and how their logits compare on token ids of all lengths."""
    from nlpladder.models.onnx.classifier import OnnxClassifier
    from nlpladder.models.onnx.export import export_graph
    from nlpladder.models.onnx.measuring import logit_distance, padding_effect, probe_rows
    from nlpladder.models.onnx.quantization import quantize_graph

    fields = {
        "label_names": holder.label_names,
        "task": holder.task,
        "max_length": holder.max_length,
        "parameters": holder.num_parameters(),
    }
    graph = export_graph(holder.model, max_length=holder.max_length)
    found = {FLOAT32: OnnxClassifier(graph.SerializeToString(), holder.tokenizer, **fields)}
    rows = probe_rows(vocabulary=len(holder.tokenizer), max_length=holder.max_length)
    distance = logit_distance(found[FLOAT32], holder.model, rows)
    if not distance <= options.logit_tolerance:
        raise CheckFailedError(
            f"A logit of the exported graph is {distance:.2g} away from PyTorch's, more than "
            f"{options.logit_tolerance:.2g} (token ids of {len(rows)} lengths up to {len(rows[-1])}, alone and "
            "padded). Nothing was written."
        )
    checks: dict[str, Any] = {
        "logit_distance": distance,
        "padding_effect": {FLOAT32: padding_effect(found[FLOAT32], rows)},
    }
    if options.quantize:
        checks["quantized_products"] = quantize_graph(graph)
        found[INT8] = OnnxClassifier(graph.SerializeToString(), holder.tokenizer, precision="int8", **fields)
        checks["padding_effect"][INT8] = padding_effect(found[INT8], rows)
    return found, checks


def read_texts(options: ExportOptions, holder: Any) -> tuple[list[str], np.ndarray, str]:
    """Return the texts that are compared, their labels, and where they come from.

    Args:
        options: Name the data; without, those of the run's record are read again.
        holder: The classifier, whose labels they must have.

    Raises:
        ConfigError: No data are named, and the run does not say which it was tested on.
        ModelError: The data have other labels than the model.
    """
    from nlpladder.data.loading import load_text_dataset

    source = options.dataset
    if source is None:
        try:
            record = json.loads((Path(options.run) / "run.json").read_text(encoding="utf-8"))
            source = str(record["identity"]["data"]["name"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(
                f"{options.run} does not say which data it was tested on: name labelled texts with --dataset."
            ) from None
    data = load_text_dataset(
        source,
        text_column=options.text_column,
        label_column=options.label_column,
        task=holder.task,
        max_eval_samples=options.max_texts,
    )
    if holder.task != "regression" and tuple(data.label_names) != holder.label_names:
        raise ModelError(
            f"The model has the labels {', '.join(holder.label_names[:8])}; those of {source} are "
            f"{', '.join(data.label_names[:8])}. Name data with the model's labels with --dataset."
        )
    test = data.splits["test"]
    return list(test["text"]), np.asarray(list(test["label"])), f"{_shown_name(source)}, split test"


def _compare(
    holder: Any, exported: Mapping[str, Any], texts: list[str], labels: np.ndarray, options: ExportOptions
) -> dict[str, Any]:
    """Return quality and speed of all of them, on the same texts."""
    from nlpladder.evaluation.comparison import compare_systems
    from nlpladder.evaluation.intervals import score_predictions
    from nlpladder.models.onnx.measuring import changed_labels
    from nlpladder.training.run_folder import describe_hardware

    classifiers = {TORCH: holder, **exported}
    answers = {name: one.predict_proba(texts) for name, one in classifiers.items()}
    metric = {"multi_label": "f1_micro", "regression": "root_mean_squared_error"}.get(holder.task, "accuracy")
    tested = compare_systems(labels, answers, pairs="all", metric=metric, task=holder.task)
    p_values = {pair.system_a: pair.p_value for pair in tested if pair.system_b == TORCH}
    rows = []
    for name, one in classifiers.items():
        scores = score_predictions(labels, answers[name], task=holder.task, label_names=holder.label_names)
        changed = changed_labels(answers[TORCH], answers[name], holder.task)
        rows.append(
            {
                "name": name,
                "metric": metric,
                "scores": {key: score.to_dict() for key, score in scores.items()},
                "p_value": p_values.get(name),
                "changed": int(changed.sum()),
                "changed_share": float(changed.mean()),
                "texts": len(texts),
                "largest_probability_change": float(np.abs(answers[name] - answers[TORCH]).max()),
                "megabytes": round(_size(one) / 1e6, 1),
                "speed": _speeds(one, texts, options.speed_texts),
            }
        )
    return {"hardware": describe_hardware(), "rows": rows}


def _speeds(classifier: Any, texts: list[str], count: int) -> list[dict[str, Any]]:
    """Return the speed of a classifier on one thread and on all that there are."""
    import dataclasses

    import torch

    from nlpladder.models.onnx.classifier import OnnxClassifier
    from nlpladder.models.onnx.measuring import measure_speed

    if not count:
        return []
    chosen = sorted(texts, key=len)
    chosen = [chosen[int(place)] for place in np.linspace(0, len(chosen) - 1, min(count, len(chosen)))]
    found, before = [], torch.get_num_threads()
    try:
        for threads in sorted({1, before}):
            torch.set_num_threads(threads)
            one = classifier.with_threads(threads) if isinstance(classifier, OnnxClassifier) else classifier
            found.append(dataclasses.asdict(measure_speed(one.predict_proba, chosen, threads=threads)))
    finally:
        torch.set_num_threads(before)
    return found


def _size(classifier: Any) -> int:
    """Return the bytes of a classifier's weights on disk."""
    graph = getattr(classifier, "graph", None)
    if graph is not None:
        return len(graph)
    return sum(one.numel() * one.element_size() for one in classifier.model.state_dict().values())


def _refuse_changes(row: Mapping[str, Any], options: ExportOptions) -> None:
    if row["changed_share"] > options.largest_label_change:
        raise CheckFailedError(
            f"{row['name']} gives {row['changed']} of {row['texts']:,} texts another label than PyTorch "
            f"({row['changed_share']:.2%}), more than the {options.largest_label_change:.2%} that are allowed. Nothing "
            "was written. Export without --quantize, or allow more with --largest_label_change."
        )


def _write(classifier: Any, target: Path, report: Mapping[str, Any], run: Path) -> None:
    """Write the folder under a temporary name, and rename it when it is whole and opens."""
    import nlpladder
    from nlpladder.onnx_card import export_card

    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that died
    try:
        classifier.save_pretrained(temporary)
        last = report["rows"][-1]
        metrics = {"split": "test", "tested": report["tested"], "n": last["texts"], "scores": last["scores"]}
        for name, content in (("metrics.json", metrics), (REPORT_FILE, report)):
            (temporary / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        for name in CARRIED:
            if (run / name).is_file():
                shutil.copyfile(run / name, temporary / name)
        (temporary / "README.md").write_text(export_card(report, classifier), encoding="utf-8")
        nlpladder.load(temporary)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _shown_name(name: str) -> str:
    """Return the last part of a path, or a Hub id as it is: no folder of this machine is written down."""
    return Path(name).name if Path(name).expanduser().exists() else name
