"""The tasks of ``check_gradients.py`` for language models and encoder-decoders; see ``gradient_checks/tasks.py``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from gradient_checks.tasks import LAST_ROWS, SEED, STEP_ROWS, STILL, VALIDATION_ROWS, Cut, Plain, sentences, word_pieces
from nlpladder.training.batch_layout import BatchLayout
from nlpladder.training.sequence_data import IGNORED, ParallelRows, RunningTokens, TargetRows, TokenBlocks
from nlpladder.training.sequence_options import SequenceTrainingOptions

VOCABULARY = 40
PAD, BEGIN, END = 0, 1, 3
LSTM: dict[str, Any] = {
    "embedding_size": 32, "hidden_size": 32, "input_dropout": 0.0, "hidden_dropout": 0.0, "output_dropout": 0.0
}  # fmt: skip
TRANSLATION: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_decoder_layers": 2, "dropout": 0.0
}  # fmt: skip


def sequence_options(cut: Cut, **changes: Any) -> SequenceTrainingOptions:
    """Return the options of a language or translation model."""
    sizes = {"batch_size": cut.batch_size, "gradient_accumulation_steps": cut.accumulation}
    return SequenceTrainingOptions(**{**STILL, **sizes, "optimizer": "sgd", "max_length": 32, **changes})


# Language models


def small_llama() -> Any:
    """Return a random Llama."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, pad_token_id=PAD, bos_token_id=BEGIN, eos_token_id=END,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def random_ids(count: int, seed: int) -> list[int]:
    """Return a running text."""
    return np.random.default_rng(seed).integers(5, VOCABULARY, count).tolist()


def instructions_of(count: int, seed: int) -> TargetRows:
    """Return prompts of 2 to 7 tokens with answers of 1 to 9, which alone are learnt."""
    generator, inputs, targets = np.random.default_rng(seed), [], []
    for _ in range(count):
        prompt = [BEGIN, *generator.integers(5, VOCABULARY, generator.integers(1, 7)).tolist()]
        answer = [*generator.integers(5, VOCABULARY, generator.integers(0, 9)).tolist(), END]
        inputs.append([*prompt, *answer[:-1]])
        targets.append([IGNORED] * (len(prompt) - 1) + answer)
    return TargetRows(inputs, targets)


def sequence_model(model: Any, sets: Sequence[Any], options: SequenceTrainingOptions, folder: Path, name: str) -> Any:
    """Train like every recipe of language and translation models; return the model as it was before."""
    from nlpladder.training.sequence_training import train_sequence_model

    before = copy.deepcopy(model)
    train_sequence_model(
        model, train_set=sets[0], validation_set=sets[1], options=options, folder=folder, seed=SEED, name=name,
        pad_token_id=PAD,
    )  # fmt: skip
    return before


def whole_batches(data: Any, **settings: Any) -> Any:
    """Return the batches of one process, which are the steps."""
    from nlpladder.training.token_batches import training_batches

    return training_batches(data, BatchLayout(batch_size=STEP_ROWS, seed=SEED, pad_token_id=PAD, **settings))


def causal(cut: Cut, folder: Path) -> Plain:
    """Text after text in blocks, as ``run_clm.py`` has it."""
    length = 12
    # One block more than whole ones: the first and the last are short.
    text = random_ids((STEP_ROWS + LAST_ROWS - 1) * length, 0)
    sets = [TokenBlocks(ids, block_length=length) for ids in (text, random_ids(100, 1))]
    before = sequence_model(small_llama(), sets, sequence_options(cut, block_length=length), folder, "causal")
    batches = whole_batches(sets[0])
    rows = [
        {"input_ids": text[start : end + 1]}
        for start, end in zip(batches.starts, batches.ends, strict=True)
        if end > start
    ]
    return Plain(before, rows, transformers.DataCollatorForLanguageModeling(word_pieces(), mlm=False))


def packed(cut: Cut, folder: Path) -> None:
    """Several texts a row, which do not see each other."""
    sets = [instructions_of(count, seed) for seed, count in enumerate((70, VALIDATION_ROWS))]
    sequence_model(small_llama(), sets, sequence_options(cut, pack=True, block_length=32), folder, "packed")


def instructions(cut: Cut, folder: Path) -> Plain:
    """Answers to instructions; the prompts are not learnt."""
    sets = [instructions_of(count, seed) for seed, count in enumerate((STEP_ROWS + LAST_ROWS, VALIDATION_ROWS))]
    before = sequence_model(small_llama(), sets, sequence_options(cut), folder, "instructions")
    rows = []
    for number in np.concatenate(whole_batches(sets[0]).batches):
        ids, targets = sets[0].inputs[number].tolist(), sets[0].targets[number].tolist()
        rows.append({"input_ids": [*ids, targets[-1]], "labels": [IGNORED, *targets]})
    return Plain(before, rows, transformers.DataCollatorForSeq2Seq(word_pieces()))


def preferences(cut: Cut, folder: Path) -> None:
    """DPO on pairs of a better and a worse answer."""
    from nlpladder.training.preference_data import PreferenceRows
    from nlpladder.training.preferences import train_preferences

    def pairs(count: int, seed: int) -> PreferenceRows:
        chosen, generator = instructions_of(count, seed), np.random.default_rng(seed + 10)
        inputs, targets = [], []
        for row in range(count):
            prompt = chosen.inputs[row][: int(np.argmax(chosen.targets[row] != IGNORED)) + 1].tolist()
            answer = [*generator.integers(5, VOCABULARY, generator.integers(0, 9)).tolist(), END]
            inputs.append([*prompt, *answer[:-1]])
            targets.append([IGNORED] * (len(prompt) - 1) + answer)
        return PreferenceRows(chosen, TargetRows(inputs, targets))

    train_preferences(
        small_llama(), train_set=pairs(STEP_ROWS + LAST_ROWS, 0), validation_set=pairs(VALIDATION_ROWS, 1),
        options=sequence_options(cut), beta=0.5, folder=folder, seed=SEED, name="preferences", pad_token_id=PAD,
    )  # fmt: skip


def lstm(cut: Cut, folder: Path) -> None:
    """Our LSTM language model, whose state goes on from step to step."""
    from nlpladder.ladder import find_rung
    from nlpladder.neural_rungs import build_model

    torch.manual_seed(0)
    rung, block = find_rung("lstm_lm"), 8
    wanted = {**rung.model_settings, **LSTM}
    model = build_model(rung, wanted, vocab_size=VOCABULARY, pad_token_id=PAD, bos_token_id=END, eos_token_id=END)
    # 16 contiguous rows of 13 tokens: a block of 8, and one of the 5 that are left.
    sets = [
        RunningTokens(random_ids(STEP_ROWS * (block + LAST_ROWS) + 1, seed), batch_size=size, block_length=block)
        for seed, size in ((0, cut.batch_size), (1, 4))
    ]
    sequence_model(model, sets, sequence_options(cut, block_length=block, carry_state=True), folder, "lstm")


# Encoder-decoders


def small_t5() -> Any:
    """Return a random T5 without dropout."""
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=32, d_ff=64, d_kv=16, num_layers=2, num_heads=2, dropout_rate=0.0,
        decoder_start_token_id=PAD, pad_token_id=PAD, eos_token_id=END,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config)


def pairs_of(count: int, seed: int) -> ParallelRows:
    """Return sources of 1 to 10 tokens and targets of others, each with its end mark."""
    generator = np.random.default_rng(seed)

    def rows() -> list[list[int]]:
        lengths = generator.integers(1, 11, count)
        return [[*generator.integers(5, VOCABULARY, length).tolist(), END] for length in lengths]

    return ParallelRows(rows(), rows())


def plain_pairs(data: ParallelRows, model: Any) -> Plain:
    """Return pairs in the order of our steps, with the collator of ``run_translation.py``."""
    numbers = np.concatenate(whole_batches(data).batches)
    rows = [{"input_ids": data.source[row].tolist(), "labels": data.target[row].tolist()} for row in numbers]
    return Plain(model, rows, transformers.DataCollatorForSeq2Seq(word_pieces(), model=model))


def t5(cut: Cut, folder: Path) -> Plain:
    """Pairs of texts for a T5."""
    sets = [pairs_of(count, seed) for seed, count in enumerate((STEP_ROWS + LAST_ROWS, VALIDATION_ROWS))]
    return plain_pairs(sets[0], sequence_model(small_t5(), sets, sequence_options(cut), folder, "t5"))


def translation(cut: Cut, folder: Path) -> None:
    """Our Transformer for translation."""
    from nlpladder.ladder import find_rung
    from nlpladder.neural_rungs import build_model

    torch.manual_seed(0)
    rung = find_rung("transformer_mt")
    model = build_model(
        rung, {**rung.model_settings, **TRANSLATION}, vocab_size=VOCABULARY, decoder_vocab_size=VOCABULARY,
        pad_token_id=PAD, bos_token_id=BEGIN, eos_token_id=END, decoder_start_token_id=BEGIN, is_encoder_decoder=True,
    )  # fmt: skip
    sets = [pairs_of(count, seed) for seed, count in enumerate((STEP_ROWS + LAST_ROWS, VALIDATION_ROWS))]
    sequence_model(model, sets, sequence_options(cut), folder, "translation")


def span_corruption(cut: Cut, folder: Path) -> Plain:
    """Span corruption; the plain Trainer gets the rows already corrupted."""
    from nlpladder.training.pretraining import pretrain
    from nlpladder.training.pretraining_options import PretrainingOptions
    from nlpladder.training.pretraining_rows import span_corrupted_rows

    texts, held_out = ([" ".join(words) for words in sentences(STEP_ROWS + LAST_ROWS, seed)] for seed in (0, 1))
    options = PretrainingOptions(objective="span_corruption", vocab_size=170, join_texts=False)
    training = sequence_options(cut, max_length=64)
    found = pretrain(texts, options, training, checkpoints=folder, seed=SEED, held_out=held_out)
    config = copy.deepcopy(found.model.config)
    config.dropout_rate = 0.0
    model = transformers.T5ForConditionalGeneration(config)
    model.load_state_dict(found.model.state_dict())
    rows = span_corrupted_rows(texts, found.tokenizer, options, max_length=64, seed=SEED)
    return plain_pairs(rows, model)


TASKS: dict[str, Callable[[Cut, Path], Plain | None]] = {
    "causal": causal, "packed": packed, "instructions": instructions, "preferences": preferences, "lstm": lstm,
    "t5": t5, "span_corruption": span_corruption, "translation": translation,
}  # fmt: skip
