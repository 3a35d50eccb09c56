"""Fine-tuning models of transformers: adapters, checkpoints, tied weights, what is refused."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch

from nlpladder.errors import ConfigError, DataError, ModelError
from nlpladder.training.adapter_checkpoints import load_trained
from nlpladder.training.sequence_data import ParallelRows, TargetRows
from nlpladder.training.sequence_options import SequenceTrainingOptions
from nlpladder.training.sequence_training import refuse_fp16
from nlpladder.training.target_loss import TargetLoss
from nlpladder.training.trainer import COMPLETE_MARK, complete_checkpoints

sys.path.insert(0, str(Path(__file__).parent))
from test_sequence_training import assert_equal, losses, train, weights
from tiny_sequence_models import (
    blocks,
    build,
    pairs,
    prompts,
    running,
    tiny_bart,
    tiny_gpt2,
    tiny_llama,
    tiny_t5,
    with_lora,
)


def mean_loss(model, data):
    """The mean loss a target, text by text."""
    loss, total = TargetLoss(model.eval()), 0.0
    for text in range(len(data)):
        batch = {
            "input_ids": torch.tensor(data.inputs[text].tolist())[None],
            "targets": torch.tensor(data.targets[text].tolist())[None],
        }
        with torch.no_grad():
            total += loss(model, batch)[0].item()
    return total / data.num_targets


@pytest.mark.parametrize("pack", [False, True])
def test_a_pretrained_model_learns_to_answer(pack, tmp_path):
    """Reverse one or two words: a causal model of transformers learns it from its answers alone."""
    validation = prompts(40, seed=1, longest=3)
    model, result = train(
        tiny_gpt2(), tmp_path, prompts(300, longest=3), validation, pack=pack, batch_size=4 if pack else 16,
        block_length=24, num_train_epochs=6.0,
    )  # fmt: skip
    assert losses(result)[0] * 0.85 > result.best == min(losses(result))
    assert result.best == pytest.approx(mean_loss(model, validation), rel=1e-5)
    assert any("texts were packed into" in note and "% full" in note for note in result.notes) == pack


@pytest.mark.parametrize("make", [tiny_t5, tiny_bart])
def test_an_encoder_decoder_of_transformers_learns_pairs_within_a_token_budget(make, tmp_path):
    model, result = train(
        make(), tmp_path, pairs(200, longest=3), pairs(20, seed=1, longest=3), batch_tokens=64, num_train_epochs=4.0,
        label_smoothing=0.1,
    )  # fmt: skip
    assert result.best < losses(result)[0]
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tied == model.config.tie_word_embeddings


def test_a_model_of_transformers_learns_running_text(tmp_path):
    _, result = train(tiny_llama(), tmp_path, blocks(800), blocks(90), num_train_epochs=3.0, batch_size=8)
    assert result.best < 0.9 * losses(result)[0]


def test_weights_that_are_tied_stay_tied_when_the_best_epoch_is_put_back(tmp_path):
    model, _ = train(
        tiny_llama(tie_word_embeddings=True), tmp_path, prompts(60), prompts(20, seed=1), num_train_epochs=3.0,
        learning_rate=0.3,
    )  # fmt: skip
    assert model.lm_head.weight is model.model.embed_tokens.weight


def adapters():
    from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig

    task = {"task_type": "CAUSAL_LM"}
    return {
        "lora": LoraConfig(r=4, target_modules=["q_proj", "v_proj"], lora_dropout=0.2, **task),
        "lora with a fresh head": LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["lm_head"], **task),
        "ia3": IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], **task),
        "prefix with projection": PrefixTuningConfig(
            num_virtual_tokens=3, prefix_projection=True, encoder_hidden_size=8, **task
        ),
        "prompt": PromptTuningConfig(num_virtual_tokens=3, **task),
        "p_tuning": PromptEncoderConfig(num_virtual_tokens=3, encoder_hidden_size=8, encoder_dropout=0.0, **task),
    }  # fmt: skip


def adapted(name, *, seed=0):
    from peft import get_peft_model

    model = tiny_llama(tie_word_embeddings=False)
    torch.manual_seed(seed)
    return get_peft_model(model, adapters()[name])


@pytest.mark.parametrize(
    "name", ["lora", "lora with a fresh head", "ia3", "prefix with projection", "prompt", "p_tuning"]
)
def test_a_killed_run_with_an_adapter_ends_as_the_uninterrupted_one(name, tmp_path):
    """The folder is what kill -9 leaves. The best epoch's adapter is put back, the base is never touched."""
    settings = {"num_train_epochs": 3.0, "learning_rate": 0.05, "batch_size": 16}
    sets = (prompts(64), prompts(16, seed=1))
    before = weights(tiny_llama(tie_word_embeddings=False))
    straight, first = train(adapted(name), tmp_path / "straight", *sets, **settings)
    checkpoints = complete_checkpoints(tmp_path / "straight")
    # Two of three are kept: what the second epoch left behind is gone if the first was the best.
    earlier, last = checkpoints[0], checkpoints[-1]
    shutil.copytree(earlier, tmp_path / "killed" / earlier.name)
    shutil.copytree(last, tmp_path / "killed" / last.name)
    (tmp_path / "killed" / last.name / COMPLETE_MARK).unlink()
    resumed, second = train(adapted(name, seed=7), tmp_path / "killed", *sets, **settings)
    assert any(f"continued from {earlier.name}" in note for note in second.notes)
    assert_equal(weights(straight), weights(resumed))
    assert losses(first) == losses(second)
    assert first.best == pytest.approx(mean_loss(straight, sets[1]), rel=1e-5)
    base = weights(straight.get_base_model())
    for key, value in before.items():
        if "fresh" not in name and key in base:
            assert torch.equal(base[key], value), key
    assert not (last / "model.safetensors").exists(), "the base is in no checkpoint"
    assert (last / "adapter_model.safetensors").is_file()


def test_only_what_is_trainable_reaches_the_optimiser(tmp_path, monkeypatch):
    from nlpladder.training import sequence_trainer

    seen = []
    build_optimizer = sequence_trainer.build_optimizer
    monkeypatch.setattr(
        sequence_trainer, "build_optimizer", lambda *given: seen.append(build_optimizer(*given)) or seen[-1]
    )
    model, _ = train(with_lora(tiny_llama()), tmp_path, prompts(20), prompts(20, seed=1), num_train_epochs=1.0)
    moved = {id(parameter) for group in seen[0].param_groups for parameter in group["params"]}
    assert moved == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert all("lora_" in name for name, parameter in model.named_parameters() if id(parameter) in moved)


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")
def test_trap_peft_4_lora_learns_the_same_with_gradient_checkpointing(tmp_path):
    settings = {"num_train_epochs": 1.0, "optimizer": "sgd", "learning_rate": 1.0}
    sets = (prompts(64), prompts(16, seed=1))
    plain, _ = train(with_lora(tiny_llama()), tmp_path / "a", *sets, **settings)
    saving, _ = train(with_lora(tiny_llama()), tmp_path / "b", *sets, gradient_checkpointing=True, **settings)
    found, wanted = weights(saving), weights(plain)
    changed = [name for name in wanted if "lora_B" in name and wanted[name].any()]
    assert changed
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-6)


def test_a_checkpoint_of_another_adapter_is_refused(tmp_path):
    model, _ = train(with_lora(tiny_llama()), tmp_path, prompts(20), prompts(20, seed=1), num_train_epochs=1.0)
    checkpoint = complete_checkpoints(tmp_path)[0]
    load_trained(model, checkpoint)
    with pytest.raises(ModelError, match="is of another adapter"):
        load_trained(adapted("ia3"), checkpoint)
    with pytest.raises(ModelError, match="holds no trained.safetensors"):
        load_trained(model, tmp_path)


def test_trap_8_t5_in_fp16_is_refused_with_the_reason():
    for model in (tiny_t5(), tiny_t5().config):
        with pytest.raises(ConfigError, match="t5 cannot be trained in fp16: .* 65,504"):
            refuse_fp16(model, SequenceTrainingOptions(precision="fp16"))
        refuse_fp16(model, SequenceTrainingOptions(precision="bf16"))
    refuse_fp16(tiny_bart(), SequenceTrainingOptions(precision="fp16"))


def test_impossible_requests_are_refused_before_training(tmp_path):
    rows = prompts(10)
    with pytest.raises(ConfigError, match="leave sampled_softmax at 0"):
        train(tiny_llama(), tmp_path, rows, rows, sampled_softmax=5)
    with pytest.raises(ConfigError, match="mean of products"):
        train(with_lora(tiny_llama()), tmp_path, rows, rows, average_checkpoints=3)
    with pytest.raises(ConfigError, match="another optimizer than asgd"):
        train(with_lora(tiny_llama()), tmp_path, rows, rows, optimizer="asgd")
    with pytest.raises(DataError, match="give it ParallelRows"):
        train(tiny_t5(), tmp_path, rows, rows)
    with pytest.raises(DataError, match="both rows with targets"):
        train(tiny_llama(), tmp_path, rows, blocks(90))
    with pytest.raises(ConfigError, match="pack fills rows with several texts, and TokenBlocks"):
        train(tiny_llama(), tmp_path, blocks(90), blocks(90), pack=True)
    with pytest.raises(ConfigError, match="set pack to false"):
        train(build("causal"), tmp_path, rows, rows, pack=True)
    with pytest.raises(ModelError, match="gives no recurrent state"):
        train(tiny_llama(), tmp_path, running(90), running(90), carry_state=True)
    with pytest.raises(ConfigError, match="has no decoder_start_token_id"):
        model = tiny_t5()
        model.config.decoder_start_token_id = model.generation_config.decoder_start_token_id = None
        train(model, tmp_path, pairs(9), pairs(9))
    with pytest.raises(DataError, match="Row 3 has 25 tokens, but GPT2LMHeadModel reads 24 at most"):
        long = TargetRows([[1]] * 3 + [[1] * 25], [[2]] * 3 + [[2] * 25])
        train(tiny_gpt2(), tmp_path, rows, long)
    with pytest.raises(DataError, match="Block 0 has 30 tokens"):
        train(tiny_gpt2(), tmp_path, blocks(90, block_length=30), blocks(90, block_length=30))
    with pytest.raises(DataError, match="Source 0 has 40 tokens, but BartForConditionalGeneration reads 32"):
        sources = ParallelRows([[5] * 40], [[5]])
        train(tiny_bart(), tmp_path, sources, sources)
    frozen = tiny_llama().requires_grad_(False)
    with pytest.raises(ModelError, match="No weight of LlamaForCausalLM is trainable"):
        train(frozen, tmp_path, rows, rows)
    assert complete_checkpoints(tmp_path) == []
