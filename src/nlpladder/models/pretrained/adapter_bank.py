"""Several adapters on one base: the large weights are in memory once, and each job switches to its own small ones."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from nlpladder.errors import ModelError, did_you_mean
from nlpladder.models.pretrained.adapter_files import check_same_shape, put_on
from nlpladder.models.pretrained.loading import adapter_config, check_reachable, explain_loading_error, quiet_loading

#: What of a config belongs to an adapter and not to its base.
_OWN_SETTINGS = ("id2label", "label2id", "problem_type", "reading_windows", "answer_reading")


class AdapterBank:
    """Adapters of one method by name, on the base of the first one.

        bank = AdapterBank(nlpladder.load("outputs/shakespeare"), name="shakespeare")
        bank.add("stories", "outputs/stories")
        bank.use("stories").generate(["Once"])
        bank.none().generate(["Once"])                                                  # the base's own answer

    `use` and `none` return the holder, which answers with that adapter until the next switch. All adapters read with
    the tokenizer of the first.

    Args:
        holder: What `nlpladder.load` returned for the first adapter: a model and its tokenizer.
        name: What the first adapter is called.

    Raises:
        ModelError: The holder's model has no adapter.
    """

    def __init__(self, holder: Any, *, name: str) -> None:
        if not hasattr(holder.model, "peft_config"):
            raise ModelError("The model that the bank is to start from has no adapter. Open one with nlpladder.load.")
        self.holder = holder
        self._inner = {name: "default"}
        self._settings = {name: self._current_settings()}
        self._off = contextlib.ExitStack()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the adapters, in the order in which they came."""
        return tuple(self._inner)

    def add(self, name: str, path: str | os.PathLike[str], **arguments: Any) -> None:
        """Read another adapter; which one answers does not change.

        Args:
            name: What it is called.
            path: Folder or Hub id of an adapter that was trained on the same base.
            arguments: ``revision``, ``token``, ``cache_dir``, ``local_files_only``.

        Raises:
            ModelError: The name is taken, there is no adapter, or it is of another base, method or set of labels.
        """
        path = os.fspath(path)
        if name in self._inner:
            raise ModelError(f"The bank has an adapter called {name!r} already. Give another name.")
        check_reachable(path)
        model = self.holder.model
        adapter = adapter_config(path, arguments)
        if adapter is None:
            raise ModelError(f"{path} holds no adapter (adapter_config.json), so it cannot share a base.")
        method = model.peft_config["default"].peft_type.value
        if adapter["peft_type"] != method:
            raise ModelError(
                f"{path} is a {adapter['peft_type']} adapter, and the others in the bank are {method}; one base "
                "carries one method at a time. Open a second bank."
            )
        settings = self._settings_of(path, arguments)
        # A name of ours could be part of a module's name, by which peft tells adapters apart.
        inner = f"adapter_{len(self._inner)}"
        training = model.training
        try:
            with quiet_loading(), self._restored():
                put_on(model, path, str(model.peft_config["default"].base_model_name_or_path), arguments, name=inner)
        except Exception as error:
            if inner in model.peft_config:
                model.delete_adapter(inner)
            raise explain_loading_error(path, error) from error
        model.train(training)
        self._inner[name], self._settings[name] = inner, settings

    def use(self, name: str) -> Any:
        """Let the adapter `name` answer.

        Args:
            name: One of `names`.

        Returns:
            The holder.

        Raises:
            ModelError: There is no such adapter.
        """
        if name not in self._inner:
            raise ModelError(
                f"The bank has no adapter {name!r}.{did_you_mean(name, self._inner)} It has {', '.join(self._inner)}."
            )
        self._off.close()
        model = self.holder.model
        model.set_adapter(self._inner[name], inference_mode=True)
        settings = self._settings[name]
        for key in _OWN_SETTINGS:
            if key in settings:
                setattr(model.config, key, settings[key])
        if settings["generation_config"] is not None:
            model.get_base_model().generation_config = settings["generation_config"]
        return self.holder

    def none(self) -> Any:
        """Let the base answer by itself.

        Returns:
            The holder.

        Raises:
            ModelError: The base has no trained head of its own, so its answers would be random.
        """
        model = self.holder.model
        if getattr(model.active_peft_config, "modules_to_save", None) and not model.get_base_model().can_generate():
            raise ModelError("The base has no trained head: without an adapter its answers would be random.")
        self._off.close()
        self._off.enter_context(model.disable_adapter())
        return self.holder

    def _settings_of(self, path: str, arguments: dict[str, Any]) -> dict[str, Any]:
        from transformers import AutoConfig, GenerationConfig

        from nlpladder.models.pretrained.loading import find_file

        found: dict[str, Any] = {"generation_config": None}
        if find_file(path, "config.json", arguments) is not None:
            config, here = AutoConfig.from_pretrained(path, **arguments), self.holder.model.config
            check_same_shape(config, here, path, "the base of the bank")
            if config.num_labels != here.num_labels:
                raise ModelError(
                    f"The adapter in {path} tells {config.num_labels} labels apart, and those in the bank "
                    f"{here.num_labels}: their heads have different shapes. Open a second bank."
                )
            found |= {key: getattr(config, key) for key in _OWN_SETTINGS if hasattr(config, key)}
        if find_file(path, "generation_config.json", arguments) is not None:
            found["generation_config"] = GenerationConfig.from_pretrained(path, **arguments)
        return found

    def _current_settings(self) -> dict[str, Any]:
        config = self.holder.model.config
        own = {key: getattr(config, key) for key in _OWN_SETTINGS if hasattr(config, key)}
        return {**own, "generation_config": getattr(self.holder.model.get_base_model(), "generation_config", None)}

    @contextlib.contextmanager
    def _restored(self) -> Any:
        """Leave the active adapter as it was, whatever happens inside."""
        model = self.holder.model
        active = model.active_adapter
        try:
            yield
        finally:
            model.set_adapter(active, inference_mode=True)
