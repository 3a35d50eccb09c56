"""A preference run from pairs to a finished folder: what it learns, what it writes, what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nlpladder
from nlpladder.data.preferences import PreferencePair, PreferenceText
from nlpladder.errors import ConfigError, DataError, ModelError
from nlpladder.finetuning.instructions import Answering
from nlpladder.finetuning.options import CausalFinetuningOptions
from nlpladder.finetuning.preferences import finetune_preferences, preference_scores, preferences_summary
from nlpladder.generation import GenerationOptions
from nlpladder.models.chat import ChatEncoder
from nlpladder.training.preference_data import encode_pairs
from nlpladder.training.preferences import policy_logprobs
from tiny_chat_models import byte_language_model

ANSWERING = Answering(max_answers=2, generation=GenerationOptions(max_new_tokens=4, do_sample=False))


def pairs(count, *, first=0):
    """The better answer is in lower case."""
    return [
        PreferencePair([{"role": "user", "content": f"q{number}"}], f"ab{number}", f"AB{number}")
        for number in range(first, first + count)
    ]


def data(**sizes):
    sizes = {"train": 24, "validation": 6, "test": 6, **sizes}
    splits = {name: pairs(size, first=100 * place) for place, (name, size) in enumerate(sizes.items())}
    return PreferenceText("toy", splits, f"toy-{sizes}")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    byte_language_model(instructed=False).save_pretrained(folder)
    return folder


def options(base, folder, **changes):
    wanted = {
        "model": str(base), "output_dir": str(folder), "max_length": 64, "batch_size": 8, "num_train_epochs": 3,
        "learning_rate": 0.02, "lr_scheduler": "constant", "precision": "fp32",
    }  # fmt: skip
    return CausalFinetuningOptions(**{**wanted, **changes})


@pytest.mark.slow
@pytest.mark.parametrize("peft", ["lora", "none"])
def test_a_run_learns_the_preference_and_its_folder_answers_again(base, tmp_path, peft):
    said = []
    wanted = options(base, tmp_path / "run", peft=peft)
    run = finetune_preferences(data(), wanted, beta=0.5, answering=ANSWERING, say=said.append)
    scores, before = run.metrics["scores"], run.metrics["before"]["scores"]
    assert scores["reward_accuracy"]["value"] == 1.0
    assert scores["reward_margin"]["low"] > 0
    assert before["reward_margin"]["value"] == 0.0
    assert before["reward_accuracy"]["value"] == 0.5
    assert scores["chosen_reward"]["value"] > scores["rejected_reward"]["value"]
    assert any("24 pairs, 3 epochs, 9 steps" in line for line in said)
    for name in ("samples.md", "answers.parquet", "rewards.parquet", "README.md", "figures/loss.png",
                 "figures/reward_margin_by_epoch.png"):  # fmt: skip
        assert (tmp_path / "run" / name).is_file(), name
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert "plain one was put in" in " ".join(run.record["notes"])
    assert run.record["identity"]["preferences"] == {"beta": 0.5}

    model = nlpladder.load(tmp_path / "run")
    rows = encode_pairs(ChatEncoder(model.tokenizer), data().splits["test"], max_length=64).rows
    columns = run.folder.read_columns("rewards.parquet")
    expected = np.stack([columns["chosen_logprob_after"], columns["rejected_logprob_after"]], axis=1)
    assert policy_logprobs(model.model, rows) == pytest.approx(expected, abs=1e-4)

    again = finetune_preferences(data(), wanted, beta=0.5, answering=ANSWERING)
    assert again.was_there
    summary = preferences_summary(again, str(tmp_path / "run"))
    assert "reward_accuracy" in summary
    assert "scripts/chat.py" in summary


def test_a_tenth_of_the_methods_rate_is_taken_unless_one_is_given(base, tmp_path):
    from nlpladder.models.pretrained.adapters import default_learning_rate

    wanted = options(base, tmp_path / "run", learning_rate=None, peft="lora", max_steps=1, num_train_epochs=1)
    run = finetune_preferences(data(train=4, validation=2, test=2), wanted, answering=Answering(max_answers=0))
    assert run.record["identity"]["training"]["learning_rate"] == 0.1 * default_learning_rate("lora")
    assert run.record["identity"]["training"]["pack"] is False
    assert not (tmp_path / "run" / "samples.md").exists()
    json.dumps(run.metrics)


def test_what_cannot_work_is_refused_and_leaves_nothing(base, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(DataError, match="has 1 pairs: give at least two"):
        finetune_preferences(data(test=1), options(base, folder))
    with pytest.raises(ConfigError, match="beta must be above 0"):
        finetune_preferences(data(), options(base, folder), beta=0.0)
    with pytest.raises(ConfigError, match="reward_accuracy or reward_margin"):
        finetune_preferences(data(), options(base, folder, select_best_on="bleu"))
    with pytest.raises(ModelError, match="128 positions"):
        finetune_preferences(data(), options(base, folder, max_length=200))
    assert not folder.exists()


def test_scores_of_pairs_by_hand():
    encoder = ChatEncoder(byte_language_model().tokenizer)
    rows = encode_pairs(encoder, pairs(3), max_length=64).rows
    rows.reference = np.array([[-4.0, -4.0], [-6.0, -2.0], [-3.0, -3.0]], dtype=np.float32)
    scores = preference_scores(rows, [[-3.0, -5.0], [-6.0, -4.0], [-3.0, -3.0]], 0.5)
    assert scores["reward_margin"].value == pytest.approx((1.0 + 1.0 + 0.0) / 3)
    assert scores["reward_accuracy"].value == pytest.approx((1 + 1 + 0.5) / 3)
    assert scores["likelihood_accuracy"].value == pytest.approx((1 + 0 + 0.5) / 3)
    assert scores["rejected_reward"].higher_is_better is False
    assert scores["reward_margin"].low <= scores["reward_margin"].value <= scores["reward_margin"].high


def long_pair(prompt, chosen, rejected):
    return PreferencePair([{"role": "user", "content": "p" * prompt}], "c" * chosen, "r" * rejected)


def decoded(encoder, side, row):
    inputs, targets = side.inputs[row].tolist(), side.targets[row].tolist()
    return encoder.tokenizer.decode(inputs), encoder.tokenizer.decode([one for one in targets if one >= 0])


def test_rows_that_are_too_long_lose_the_prompts_beginning_then_the_answers_end():
    encoder = ChatEncoder(byte_language_model().tokenizer)
    given = [long_pair(3, 4, 5), long_pair(60, 4, 5), long_pair(60, 80, 3), long_pair(3, 70, 80)]
    found = encode_pairs(encoder, given, max_length=50)
    assert (found.kept, found.prompts_cut, found.answers_cut, found.same) == ([0, 1, 2, 3], 2, 2, 0)
    assert max(found.rows.longer) <= 50
    shown = [[decoded(encoder, side, row) for side in (found.rows.chosen, found.rows.rejected)] for row in range(4)]
    assert [text[1] for text in shown[0]] == ["cccc</s>", "rrrrr</s>"]
    assert shown[1][0][1] == "cccc</s>"
    assert shown[2][0][1] == "c" * 26, "half of the row, cut at its end"
    assert shown[2][1][1] == "rrr</s>"
    for chosen, rejected in shown:
        prompts = [text[0].split("Assistant:\n")[0] for text in (chosen, rejected)]
        assert prompts[0] == prompts[1], "both answers are given the same prompt"
        assert prompts[0].startswith("<s>")
    assert len(found.notes(50)) == 2


def test_pairs_that_differ_only_behind_the_cut_are_left_out():
    encoder = ChatEncoder(byte_language_model().tokenizer)
    same = PreferencePair([{"role": "user", "content": "p"}], "x" * 60 + "a", "x" * 60 + "b")
    found = encode_pairs(encoder, [same, *pairs(1)], max_length=40)
    assert (found.kept, found.same) == ([1], 1)
    with pytest.raises(DataError, match="Raise max_length"):
        encode_pairs(encoder, [same], max_length=40)


def test_only_the_last_answer_is_compared():
    encoder = ChatEncoder(byte_language_model().tokenizer)
    prompt = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "EARLIER"},
              {"role": "user", "content": "b"}]  # fmt: skip
    rows = encode_pairs(encoder, [PreferencePair(prompt, "yes", "no")], max_length=90).rows
    assert decoded(encoder, rows.chosen, 0)[1] == "yes</s>"
    assert decoded(encoder, rows.rejected, 0)[1] == "no</s>"
