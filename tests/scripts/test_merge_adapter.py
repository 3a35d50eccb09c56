from __future__ import annotations

import numpy as np

import nlpladder
from helpers import run_python, text_dataset, tiny_bert_folder
from nlpladder.ladder import find_rung
from nlpladder.tasks.base import RungSettings
from nlpladder.train_rung import train_rung

TEXTS = ["the film was good", "bad", "so dull"]


def test_the_merged_folder_answers_as_the_adapter_and_nothing_is_overwritten(tmp_path):
    encoder = tiny_bert_folder(tmp_path / "encoder")
    settings = RungSettings(encoder=str(encoder), training={"num_train_epochs": 1, "learning_rate": 0.01})
    train_rung(find_rung("bert_lora"), text_dataset(train=48), settings, output_dir=tmp_path / "lora")
    result = run_python("scripts/merge_adapter.py", str(tmp_path / "lora"), str(tmp_path / "merged"))
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    merged, adapter = nlpladder.load(tmp_path / "merged"), nlpladder.load(tmp_path / "lora")
    assert merged.label_names == ("negative", "positive")
    np.testing.assert_allclose(merged.predict_logits(TEXTS), adapter.predict_logits(TEXTS), atol=1e-5)
    again = run_python("scripts/merge_adapter.py", str(tmp_path / "lora"), str(tmp_path / "merged"))
    assert again.returncode == 2
    assert "exists already" in again.stderr
    no_adapter = run_python("scripts/merge_adapter.py", str(tmp_path / "merged"), str(tmp_path / "other"))
    assert no_adapter.returncode == 2
    assert "no adapter" in no_adapter.stderr
    assert not (tmp_path / "other").exists()
