"""A recurrent state that training carries comes back from a checkpoint, whatever the device is called."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import transformers

from nlpladder.models.recurrent_lm.config import RecurrentLMConfig
from nlpladder.models.recurrent_lm.model import RecurrentForCausalLM
from nlpladder.training.carried_state import detached_state
from nlpladder.training.sequence_trainer import SequenceTrainer


@pytest.fixture
def checkpoint(tmp_path):
    """A tiny model, the state that it carries, and a checkpoint that holds the state."""
    torch.manual_seed(0)
    model = RecurrentForCausalLM(RecurrentLMConfig(vocab_size=11, embedding_size=4, hidden_size=6)).eval()
    state = detached_state(model(input_ids=torch.randint(0, 11, (3, 5)), use_cache=True), model)
    torch.save({0: state.state_dict()}, tmp_path / "carried_state_0.pth")
    return model, state, tmp_path


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_trap_cpu_0_the_carried_state_is_restored(checkpoint, device, monkeypatch):
    """Among several processes accelerate calls the processor "cpu:0", a place that torch.load does not know."""
    model, state, folder = checkpoint
    monkeypatch.setattr(transformers.Trainer, "_load_optimizer_and_scheduler", lambda self, checkpoint: None)
    trainer = object.__new__(SequenceTrainer)
    trainer.state = SimpleNamespace(log_history=[{"seconds": 2.5}, {"loss": 1.0}])
    trainer.args = SimpleNamespace(process_index=0, device=torch.device(device))
    trainer.model, trainer._carried, trainer._seconds_before = model, {}, 0.0
    trainer._load_optimizer_and_scheduler(str(folder))
    assert trainer._seconds_before == 2.5
    found = trainer._carried[0].state_dict()
    assert found.keys() == state.state_dict().keys()
    for name, value in state.state_dict().items():
        assert torch.equal(found[name], value) if isinstance(value, torch.Tensor) else found[name] == value
    with torch.no_grad():
        token = torch.tensor([[4], [5], [6]])
        again = model(input_ids=token, past_key_values=trainer._carried[0], use_cache=True).logits
        assert torch.equal(again, model(input_ids=token, past_key_values=state, use_cache=True).logits)


def test_trap_cpu_0_is_still_no_place_for_torch_load(checkpoint):
    """When this fails, the state may be read to the device of the run."""
    _, _, folder = checkpoint
    with pytest.raises(RuntimeError, match="cpu:0"):
        torch.load(folder / "carried_state_0.pth", map_location=torch.device("cpu", 0), weights_only=True)
