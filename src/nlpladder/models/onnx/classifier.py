"""A classifier that ONNX Runtime runs, as a user holds it: texts in, probabilities out; no torch module behind it."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np

from nlpladder.errors import ModelError
from nlpladder.models.onnx.graph_checks import check_graph, read_graph
from nlpladder.models.onnx.names import GRAPH_NAME, INPUTS, MODEL_TYPE, OUTPUT
from nlpladder.models.onnx.session import open_session, short_reason
from nlpladder.models.saved_files import CONFIG_NAME, check_tokenizer_files, read_settings
from nlpladder.models.targets import check_texts
from nlpladder.protocols import Task


class OnnxClassifier:
    """An encoder classifier as an ONNX graph, with its tokenizer; made by ``scripts/export_onnx.py``.

    Answers do not depend on the batch that a text is read in: texts are padded to the longest of their batch and the
    padding is masked, and the 8-bit graphs of `nlpladder.models.onnx.quantization` take the scale of their activations
    from each token alone.

    Args:
        graph: The serialised graph: ``input_ids`` and ``attention_mask`` (batch, tokens) to ``logits`` (batch, labels).
        tokenizer: A ``PreTrainedTokenizerBase``.
        label_names: In the order of the logits.
        task: What the labels are.
        max_length: Tokens a text is cut to.
        parameters: Numbers that were learnt.
        precision: ``float32`` or ``int8``, of the weights of its layers.
        threads: Of a forward pass; as many as torch has if not given, see
            `nlpladder.models.onnx.session.default_threads`.
        tokens_per_batch: Padded tokens of one forward pass; texts are sorted by length, so little of it is padding.
        where: Named in messages.

    Raises:
        ModelError: The graph is damaged, not safe to open, or no classifier of so many labels.
    """

    def __init__(
        self,
        graph: bytes,
        tokenizer: Any,
        *,
        label_names: Sequence[str],
        task: Task,
        max_length: int,
        parameters: int = 0,
        precision: str = "float32",
        threads: int | None = None,
        tokens_per_batch: int = 8192,
        where: str = "the graph",
    ) -> None:
        if threads is not None and (type(threads) is not int or threads < 1):
            raise ModelError(f"threads is {threads!r}; it is a whole number from 1 on, or None.")
        check_graph(graph, num_labels=len(label_names), where=where)
        self.graph = graph
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.precision = precision
        self.tokens_per_batch = tokens_per_batch
        self._label_names = tuple(label_names)
        self._task: Task = task
        self._parameters = parameters
        self._where = where
        self._session = open_session(graph, threads=threads, where=where)

    @property
    def task(self) -> Task:
        """What the head predicts."""
        return self._task

    @property
    def label_names(self) -> tuple[str, ...]:
        """Label names in the order of the logits."""
        return self._label_names

    @property
    def threads(self) -> int:
        """Threads of a forward pass."""
        return int(self._session.get_session_options().intra_op_num_threads)

    def with_threads(self, threads: int) -> Self:
        """Return the same classifier with another number of threads.

        Args:
            threads: Of a forward pass.
        """
        other = copy.copy(self)
        other._session = open_session(self.graph, threads=threads, where=self._where)
        return other

    def num_parameters(self) -> int:
        """Return the numbers that were learnt, as the model counted them that was exported."""
        return self._parameters

    def predict_logits(self, texts: Sequence[str]) -> np.ndarray:
        """Return the logits in float32, shape (texts, labels)."""
        texts = check_texts(texts)
        logits = np.empty((len(texts), len(self._label_names)), dtype=np.float32)
        if not texts:
            return logits
        token_ids = self.tokenizer(texts, truncation=True, max_length=self.max_length)["input_ids"]
        order = np.argsort([len(ids) for ids in token_ids], kind="stable")
        for rows in _batches(order, token_ids, self.tokens_per_batch):
            logits[rows] = self.run(*self.pad([token_ids[row] for row in rows]))
        return logits

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return probabilities (texts, labels) in float64, or values (texts, 1) for regression."""
        from scipy.special import expit, softmax

        logits = self.predict_logits(texts).astype(np.float64)
        if self.task == "single_label":
            return softmax(logits, axis=1)
        return expit(logits) if self.task == "multi_label" else logits

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Return token ids as one matrix and its mask, int64, shape (rows, longest row); padded on the right.

        Args:
            rows: Token ids of each text; a text without a token becomes one column of padding.
        """
        lengths = np.array([len(row) for row in rows])
        mask = (np.arange(max(1, lengths.max())) < lengths[:, None]).astype(np.int64)  # (rows, longest)
        ids = np.full(mask.shape, self.tokenizer.pad_token_id or 0, dtype=np.int64)
        ids[mask.astype(bool)] = [token for row in rows for token in row]
        return ids, mask

    def run(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        """Return the logits of one batch, float32, shape (batch, labels).

        Args:
            input_ids: int64, shape (batch, tokens).
            attention_mask: int64, 1 where there is a token, shape (batch, tokens).

        Raises:
            ModelError: The graph cannot compute this, or gives something else than logits.
        """
        try:
            (logits,) = self._session.run([OUTPUT], dict(zip(INPUTS, (input_ids, attention_mask), strict=True)))
        except Exception as error:  # each status of ONNX Runtime has its own class
            raise ModelError(
                f"{self._where} cannot be computed for a batch of shape {input_ids.shape}: {short_reason(error)}."
            ) from error
        if logits.shape != (len(input_ids), len(self._label_names)):
            raise ModelError(
                f"{self._where} gives logits of shape {logits.shape} for {len(input_ids)} texts and "
                f"{len(self._label_names)} labels. Export the model again."
            )
        return logits

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> None:
        """Write graph, tokenizer and config into one folder; the config last, so that a folder with one is whole."""
        target = Path(save_directory)
        apart = target / ".saving"
        shutil.rmtree(apart, ignore_errors=True)  # of a process that died
        apart.mkdir(parents=True)
        try:
            (apart / GRAPH_NAME).write_bytes(self.graph)
            self.tokenizer.save_pretrained(apart)
            (apart / CONFIG_NAME).write_text(
                json.dumps(self.to_config(), indent=2, sort_keys=True) + "\n", encoding="utf-8"
            )
            for entry in sorted(apart.iterdir(), key=lambda entry: entry.name == CONFIG_NAME):
                os.replace(entry, target / entry.name)
        finally:
            shutil.rmtree(apart, ignore_errors=True)

    def to_config(self) -> dict[str, Any]:
        """Return what ``config.json`` holds."""
        return {
            "model_type": MODEL_TYPE,
            "label_names": list(self._label_names),
            "task": self._task,
            "max_length": self.max_length,
            "parameters": self._parameters,
            "precision": self.precision,
        }

    def push_to_hub(self, repo_id: str, **arguments: Any) -> str:
        """Upload what `save_pretrained` writes, without a card: see `nlpladder.models.uploading.push_saved`."""
        from nlpladder.models.uploading import push_saved

        return push_saved(self, repo_id, **arguments)

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str], *, threads: int | None = None, **arguments: Any) -> Self:
        """Load from a folder or a Hub id; torch is not needed, and no weights but the graph are read.

        Args:
            path: Folder or Hub id.
            threads: Of a forward pass; see the class.
            arguments: ``revision``, ``token``, ``cache_dir``, ``local_files_only``.

        Raises:
            ModelError: Something is missing, damaged, not safe to open, or does not fit together.
        """
        from nlpladder.models.safe_folders import model_folder

        with model_folder(os.fspath(path), arguments) as (folder, _):
            place = Path(folder)
            if not (place / CONFIG_NAME).is_file():
                raise ModelError(f"{place} holds no {CONFIG_NAME}, so it is no saved model.")
            fields = check_config(read_settings(place / CONFIG_NAME), where=str(place / CONFIG_NAME))
            graph = read_graph(place / GRAPH_NAME, num_labels=len(fields["label_names"]))
            tokenizer = _open_tokenizer(folder)
            opened = cls(graph, tokenizer, threads=threads, where=str(place / GRAPH_NAME), **fields)
            opened.run(*opened.pad([[0, 0], [0]]))  # a graph that computes something else is told now
            return opened


def check_config(config: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return the arguments of `OnnxClassifier` that a ``config.json`` holds.

    Args:
        config: Its content.
        where: The file, for messages.

    Raises:
        ModelError: It is of another model, or a field is missing or of the wrong kind.
    """
    if config.get("model_type") != MODEL_TYPE:
        raise ModelError(
            f"{where} says model_type {str(config.get('model_type'))[:60]!r}, but OnnxClassifier loads {MODEL_TYPE!r}. "
            "nlpladder.load() opens any of them."
        )
    names = config.get("label_names")
    checks = {
        "label_names": isinstance(names, list) and 0 < len(names) == len(set(map(str, names)))
        and all(isinstance(name, str) for name in names),
        "task": config.get("task") in get_args(Task),
        "max_length": type(config.get("max_length")) is int and 0 < config["max_length"] <= 2**20,
        "parameters": type(config.get("parameters")) is int and config["parameters"] >= 0,
        "precision": config.get("precision") in ("float32", "int8"),
    }  # fmt: skip
    for name, fits in checks.items():
        if not fits:
            raise ModelError(
                f"{where} is damaged: its {name} is {str(config.get(name))[:60]!r}. Export or download the model again."
            )
    return {name: config[name] for name in checks}


def _open_tokenizer(folder: str) -> Any:
    from transformers import AutoTokenizer, PreTrainedConfig

    check_tokenizer_files(folder)
    # Opened by transformers, our config would be announced as one of an unknown kind that "can yield errors".
    config = PreTrainedConfig.from_dict(read_settings(Path(folder) / CONFIG_NAME))
    try:
        return AutoTokenizer.from_pretrained(folder, config=config, trust_remote_code=False)
    except Exception as error:  # transformers and tokenizers have many kinds
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"The tokenizer in {folder} cannot be read: {lines[0][:200]}") from error


def _batches(order: np.ndarray, token_ids: list[list[int]], tokens_per_batch: int) -> Iterator[np.ndarray]:
    """Cut `order` (sorted by length) into batches of at most `tokens_per_batch` padded tokens."""
    start = 0
    for stop in range(1, len(order) + 1):
        full = stop < len(order) and (stop - start + 1) * len(token_ids[order[stop]]) > tokens_per_batch
        # Beside others a text without a token would be all padding, whose length its answer must not depend on.
        empty = stop < len(order) and not token_ids[order[start]] and bool(token_ids[order[stop]])
        if stop == len(order) or full or empty:
            yield order[start:stop]
            start = stop
