"""The log-probabilities of targets under a language model, without holding the logits of all positions.

With GPT-2's 50,257 words, the logits of one window of 1,024 tokens are 206 MB, and their log-softmax as much again.
Where a model's logits are its output layer's product and nothing more, that layer can be left to
`nlpladder.nn.output_loss.token_log_probabilities`, which takes the states a chunk at a time. Whether they are is not
guessed from the model's name: the model is asked, with two tokens. Models that change the logits behind the layer
(Gemma caps them, Cohere scales them), or whose layer is no plain matrix, are read whole.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlpladder.nn.output_loss import IGNORED, token_log_probabilities


class TargetScores:
    """Reads tokens and returns the log-probabilities of what follows them.

    Args:
        model: Any causal language model of transformers, ours, or an adapter around one; in evaluation mode.

    Attributes:
        chunked: Whether the logits are never held at once.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        base = model.get_base_model() if hasattr(model, "peft_config") else model
        self.cuts_logits = "logits_to_keep" in inspect.signature(base.forward).parameters
        layer = base.get_output_embeddings()
        self.layer: nn.Linear | None = layer if type(layer) is nn.Linear and _is_all(model, layer) else None

    @property
    def chunked(self) -> bool:
        """Whether the logits are never held at once."""
        return self.layer is not None

    def __call__(self, targets: Tensor, **arguments: Any) -> tuple[Tensor, Any]:
        """Return the log-probability of each target, float32, and what the model returned.

        Args:
            targets: What follows the last inputs, shape (batch, targets); -100 is not scored and costs nothing.
            arguments: For the model's forward.

        Returns:
            Natural logarithms, shape (batch, targets), 0 where the target is -100; the model's outputs, whose logits
            are not all there.
        """
        width = targets.shape[1]
        if self.layer is None:
            if self.cuts_logits:
                arguments["logits_to_keep"] = width
            outputs = self.model(**arguments)
            logits = outputs.logits[:, -width:]
            losses = F.cross_entropy(
                logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="none"
            )
            return -losses.view(targets.shape), outputs
        layer, found = self.layer, []

        def score(states: Tensor) -> Tensor:
            own = states[:, -width:]  # what an adapter has learnt stands before the text
            found.append(token_log_probabilities(own, layer.weight, targets, bias=layer.bias))
            return states[:1, :1]

        with _states_read(layer, score):
            outputs = self.model(**arguments)
        return found[0], outputs


def _is_all(model: Any, layer: nn.Linear) -> bool:
    """Return whether the model's logits are the layer's product of states, to the last bit."""
    tokens = torch.tensor([[0, 1], [1, 0]], device=next(model.parameters()).device)
    states: list[Tensor] = []

    def keep(read: Tensor) -> Tensor:
        states.append(read)
        return read

    with torch.no_grad(), _states_read(layer, keep):
        logits = model(input_ids=tokens, use_cache=False).logits
    if len(states) != 1 or states[0].dim() != 3:
        return False
    product = F.linear(states[0], layer.weight, layer.bias)
    return torch.equal(product[:, -2:].float(), logits[:, -2:].float())


@contextmanager
def _states_read(layer: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let the output layer read `change` of its states, (batch, tokens, width)."""
    handle = layer.register_forward_pre_hook(lambda _, read: (change(read[0]), *read[1:]))
    try:
        yield
    finally:
        handle.remove()
