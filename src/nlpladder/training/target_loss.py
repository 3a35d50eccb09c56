"""The summed cross-entropy of any language model of transformers, computed for the targets only.

The heads of transformers compute the logits of every position, prompts and padding included, and take a mean whose
gradient is wrong once batches are accumulated (transformers#47688). Here the loss is the sum over the targets, in
float32, and whoever trains divides by their number.

Where the model's own output layer would read the states of all positions (batch, tokens, width), a hook hands it fewer:

* "fused": the loss is taken chunk by chunk from the states (`nlpladder.nn.output_loss`) and the layer reads one row, so
  that the logits never exist. Right only if the output layer is a plain product and nothing follows it.
* "rows": the layer reads the states of positions with a target; what the model does to its logits afterwards (Gemma
  caps them, Cohere scales them) happens to these rows.
* "logits": the layer reads everything, and rows without a target are dropped from its logits.
* "targets": our own models take ``targets`` and do all this themselves.

Which of them is right is not guessed from the model's name: `TargetLoss` asks the model, with four tokens. What comes
before the output layer (T5 scales its states where the embeddings are tied) needs no care: the hook sees the product's
input. Nothing is called around the model, so that the wrappers of several processes and of autocast stay in the way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlpladder.errors import ModelError
from nlpladder.nn.output_loss import linear_cross_entropy
from nlpladder.training.sequence_data import IGNORED

Way = Literal["targets", "fused", "rows", "logits"]


class TargetLoss:
    """The loss of one model, in the cheapest way that gives exactly its logits' cross-entropy.

    Args:
        model: A causal or encoder-decoder model of transformers, ours, or a PeftModel around one.

    Attributes:
        way: How the loss is computed, see above.
    """

    def __init__(self, model: Any) -> None:
        model = bare_model(model)
        self.base = base_model(model)
        names = inspect.signature(self.base.forward).parameters
        self.takes_documents = "document_ids" in names
        self.takes_cache = accepts(self.base, "use_cache")
        self.layer = _output_layer(self.base)
        own = "targets" in names and not (isinstance(self.layer, nn.Module) and type(self.layer) is not nn.Linear)
        self.way: Way = "targets" if own else _probed_way(model, self.base, self.layer)

    def __call__(
        self, model: Any, batch: Mapping[str, Tensor], *, label_smoothing: float = 0.0, **arguments: Any
    ) -> tuple[Tensor, Any]:
        """Return the sum of the targets' losses in nats, float32, and what the model returned.

        Args:
            model: The model, or what stands around it for several processes.
            batch: ``targets`` (batch, tokens), -100 where nothing is learnt, aligned with the positions that predict
                them; the rest is for the model's forward.
            label_smoothing: Mass moved to the uniform distribution, in training mode only.
            arguments: For the model's forward.
        """
        smoothing = label_smoothing if self.base.training else 0.0
        targets = batch["targets"]
        if self.way == "targets":
            if label_smoothing:
                arguments["label_smoothing"] = label_smoothing
            outputs = model(**self.inputs(batch), targets=targets, **arguments)
            return outputs["loss"], outputs
        if self.way != "fused":
            logits, outputs = self._target_logits(model, batch, arguments)
            learnt = targets[targets != IGNORED]
            return F.cross_entropy(logits, learnt, reduction="sum", label_smoothing=smoothing), outputs
        layer, found = self.layer, []

        def loss_of(states: Tensor) -> Tensor:
            # Within the forward, so that autocast chooses the type of the products, as it does for the model's own.
            own = states[:, -targets.shape[1] :]  # virtual tokens of a prompt stand before the text
            found.append(
                linear_cross_entropy(own, layer.weight, targets, bias=layer.bias, label_smoothing=smoothing)  # type: ignore[union-attr, arg-type]
            )
            return states[:1, :1]

        with _states_read(layer, loss_of):
            outputs = self._forward(model, batch, arguments)
        return found[0], outputs

    def losses(self, model: Any, batch: Mapping[str, Tensor], **arguments: Any) -> Tensor:
        """Return each target's own loss in nats, float32, with its gradient: (targets,), in the order of the batch.

        Args:
            model: The model, or what stands around it for several processes.
            batch: As for the sum.
            arguments: For the model's forward.
        """
        logits, _ = self._target_logits(model, batch, arguments)
        return F.cross_entropy(logits, batch["targets"][batch["targets"] != IGNORED], reduction="none")

    def _target_logits(self, model: Any, batch: Mapping[str, Tensor], arguments: dict[str, Any]) -> tuple[Tensor, Any]:
        """Return the logits (targets, vocabulary) of positions with a target, float32, and the model's outputs."""
        targets = batch["targets"]
        if self.way in ("targets", "logits"):
            outputs = self._forward(model, batch, arguments)
            return outputs["logits"][:, -targets.shape[1] :][targets != IGNORED].float(), outputs
        with _states_read(self.layer, lambda states: _target_states(states, targets)):
            outputs = self._forward(model, batch, arguments)
        return outputs["logits"].flatten(0, -2).float(), outputs

    def _forward(self, model: Any, batch: Mapping[str, Tensor], arguments: dict[str, Any]) -> Any:
        # With a cache, which most models make when they are not told, transformers 5.23 takes no notice of position_ids
        # that start anew, and the texts of a packed row see each other.
        cache = {"use_cache": False} if self.takes_cache else {}
        return model(**self.inputs(batch), **{**arguments, **cache})

    def inputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the model reads: of a packed batch, that by which this model tells its texts apart."""
        inputs = {name: value for name, value in batch.items() if name != "targets"}
        if "document_ids" in inputs:
            inputs.pop("position_ids" if self.takes_documents else "document_ids")
        return inputs


def summed_loss(model: Any, batch: Mapping[str, Tensor], *, label_smoothing: float = 0.0) -> Tensor:
    """Return the SUM of the targets' losses in nats, float32; see `TargetLoss`, which a loop makes once.

    Args:
        model: A causal or encoder-decoder model of transformers, ours, or a PeftModel around one.
        batch: ``targets`` (batch, tokens), -100 where nothing is learnt; the rest is for the model's forward.
        label_smoothing: Mass moved to the uniform distribution, in training mode only.
    """
    return TargetLoss(model)(model, batch, label_smoothing=label_smoothing)[0]


def bare_model(model: Any) -> Any:
    """Return the model within what several processes, or a compiler, put around it."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.parallel.DistributedDataParallel):
            inner = model.module
        if inner is None:
            return model
        model = inner


def base_model(model: Any) -> Any:
    """Return the model that an adapter was put on, or the model itself."""
    return model.get_base_model() if hasattr(model, "peft_config") and hasattr(model, "get_base_model") else model


def accepts(model: Any, name: str) -> bool:
    """Tell whether the model's forward takes an argument of this name."""
    parameters = inspect.signature(model.forward).parameters
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def uses_virtual_tokens(model: Any) -> bool:
    """Tell whether the model is one with learnt tokens before its text: prefix, prompt or P-tuning."""
    return virtual_positions(model) > 0


def virtual_positions(model: Any) -> int:
    """Return how many positions learnt tokens take before the text; 0 without such an adapter."""
    configs = getattr(bare_model(model), "peft_config", None) or {}
    return sum(
        int(config.num_virtual_tokens) for config in configs.values() if getattr(config, "is_prompt_learning", False)
    )


def _output_layer(base: Any) -> nn.Module | None:
    """Return the layer from the last states to the vocabulary, None where the model names none."""
    try:
        layer = base.get_output_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    return layer if isinstance(layer, nn.Module) else None


def _probed_way(model: Any, base: Any, layer: nn.Module | None) -> Way:
    """Read a few tokens in each way, and return the cheapest of those that give the model's logits."""
    device = next(model.parameters()).device
    tokens = torch.tensor([[0, 1], [1, 0]], device=device)
    inputs: dict[str, Any] = {"input_ids": tokens, **({"use_cache": False} if accepts(base, "use_cache") else {})}
    if getattr(base.config, "is_encoder_decoder", False):
        inputs |= {"attention_mask": torch.ones_like(tokens), "decoder_input_ids": tokens}
    with as_in_use(model):
        outputs = model(**inputs)
        if outputs.get("logits") is None:
            raise ModelError(
                f"{type(base).__name__} returns no logits for its tokens: a causal or encoder-decoder language model "
                "is needed, or one whose forward takes targets and returns the sum of their losses."
            )
        logits = outputs["logits"][:, -2:]  # (2, 2, vocabulary)
        if layer is None:
            return "logits"
        targets = tokens.clone()
        targets[0, 0] = IGNORED
        wanted = logits[targets != IGNORED].unsqueeze(0)  # (1, 3, vocabulary)
        products: list[Tensor] = []
        handle = layer.register_forward_hook(lambda _, __, output: products.append(output))
        try:
            with _states_read(layer, lambda states: _target_states(states, targets)):
                rows = model(**inputs)["logits"]
        except (RuntimeError, ValueError, IndexError):
            return "logits"  # the model does not bear fewer rows
        finally:
            handle.remove()
        if len(products) != 1 or not same_logits(rows, wanted):
            return "logits"
        # To the last bit: a cap on the logits hardly shows in an untrained model's.
        if type(layer) is nn.Linear and torch.equal(products[0].float(), rows.float()):
            return "fused"
        return "rows"


def same_logits(first: Tensor, second: Tensor) -> bool:
    """Tell whether logits are the same but for the rounding of products of another height."""
    rounding = 1e-4 if first.dtype in (torch.float32, torch.float64) else 2e-2
    largest = float(second.abs().max()) if second.numel() else 0.0
    if first.shape != second.shape:
        return False
    return bool((first.float() - second.float()).abs().max() <= rounding * max(largest, 1e-3))


@contextmanager
def as_in_use(model: Any) -> Iterator[None]:
    """Evaluation mode without gradients; random numbers and the mode are afterwards what they were."""
    device = next(model.parameters()).device
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        for module, mode in training.items():
            module.training = mode


@contextmanager
def _states_read(layer: nn.Module | None, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let the output layer read `change` of the states (batch, tokens, width) for the time being."""
    assert layer is not None
    calls = 0

    def hook(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        nonlocal calls
        calls += 1
        return (change(arguments[0]), *arguments[1:])

    handle = layer.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()
    if calls != 1:
        raise ModelError(f"The output layer was called {calls} times in one pass; expected one call.")


def _target_states(states: Tensor, targets: Tensor) -> Tensor:
    """Return the states of positions with a target, (1, targets, width)."""
    own = states[:, -targets.shape[1] :]  # virtual tokens of a prompt stand before the text
    return own[targets != IGNORED].unsqueeze(0)
