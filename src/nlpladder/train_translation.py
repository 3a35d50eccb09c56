"""One translation rung, from sentence pairs to a finished run folder: train, save, check, translate, score."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlpladder.config import build
from nlpladder.data.parallel import ParallelText
from nlpladder.data.text_pairs import Examples, examples_of
from nlpladder.errors import CheckFailedError, ConfigError
from nlpladder.evaluation.translation import SentenceStatistics, bleu, score_translations, signatures
from nlpladder.ladder import Rung
from nlpladder.neural_rungs import (
    build_model,
    sequence_training_options,
    training_facts,
)
from nlpladder.runs import carry_out
from nlpladder.tasks.base import RungRun, RungSettings
from nlpladder.train_rung import quiet_libraries
from nlpladder.training.neural import TrainingResult
from nlpladder.training.run_folder import RunFolder, write_text
from nlpladder.training.sequence_options import SequenceTrainingOptions

if TYPE_CHECKING:
    from nlpladder.models.translation import Translation, Translator

STATISTICS_FILE = "sentences.parquet"
#: Stands between the references of a sentence that has several, in a cell of `TRANSLATIONS_FILE`.
REFERENCE_SEPARATOR = " ||| "
TRANSLATIONS_FILE = "translations.tsv"
#: Sentences on which a model read back from disk must answer as the trained one did.
RELOAD_SENTENCES = 8
#: Beam of the test translations; validation during training is greedy.
NUM_BEAMS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairTokenizerOptions:
    """How the two vocabularies are made: see `nlpladder.text.subwords.train_subword_tokenizer`.

    Attributes:
        scheme: Of the sub-words.
        vocab_size: Entries at most, of each vocabulary.
        joint: One vocabulary for both languages, trained on both sides.
        lowercase: Fold case; translations then come out in lower case.
        min_frequency: How often a word or pair must occur to become an entry.
    """

    scheme: str = "bpe"
    vocab_size: int = 8000
    joint: bool = True
    lowercase: bool = False
    min_frequency: int = 2


def translation_identity(rung: Rung, data: ParallelText, settings: RungSettings, seed: int) -> dict[str, Any]:
    """Return everything that decides the result of a run, by which a folder is known again."""
    return {
        "rung": rung.name,
        "seed": seed,
        "data": {"name": data.name, "fingerprint": data.fingerprint, "languages": list(data.languages)},
        "model": {**rung.model_settings, **settings.model},
        "training": dataclasses.asdict(sequence_training_options(rung, settings)),
        "tokenizer": dataclasses.asdict(pair_tokenizer_options(rung, settings)),
    }


def pair_tokenizer_options(rung: Rung, settings: RungSettings) -> PairTokenizerOptions:
    """Return the rung's tokenizer settings with those given on top, names and types checked."""
    wanted = {**rung.tokenizer, **settings.tokenizer}
    return build(PairTokenizerOptions, wanted, where=f"the tokenizer options of {rung.name}")


def train_translation(
    rung: Rung,
    data: ParallelText,
    settings: RungSettings,
    *,
    output_dir: str | os.PathLike[str],
    seed: int = 0,
    time_limit: float | None = None,
    overwrite: bool = False,
) -> RungRun:
    """Train and evaluate one translation rung; a finished folder of the same identity is read instead.

    Args:
        rung: Of the task ``translation``.
        data: Sentence pairs with splits train, validation and test.
        settings: What differs from the rung's defaults.
        output_dir: The run folder.
        seed: For weights, order and dropout.
        time_limit: Seconds of training after which it stops.
        overwrite: Replace an earlier run.

    Raises:
        RunError: when the folder holds a run of other arguments.
        CheckFailedError: when the saved model does not answer as the trained one.
        ConfigError: for settings that the rung does not have.
    """
    quiet_libraries()
    training = sequence_training_options(rung, settings)

    def train(folder: RunFolder) -> tuple[Translator, TrainingResult]:
        return _train(rung, data, settings, training, folder, seed, time_limit)

    def finish(trained: tuple[Translator, TrainingResult], folder: RunFolder) -> None:
        _finish(rung, data, *trained, folder, training)

    identity = translation_identity(rung, data, settings, seed)
    return carry_out(identity, output_dir, train=train, finish=finish, overwrite=overwrite)


def _train(
    rung: Rung,
    data: ParallelText,
    settings: RungSettings,
    training: SequenceTrainingOptions,
    folder: RunFolder,
    seed: int,
    time_limit: float | None,
) -> tuple[Translator, TrainingResult]:
    """Train tokenizers and model, on every process of the launch."""
    from nlpladder.models.translation import Translator
    from nlpladder.training.sequence_data import ParallelRows
    from nlpladder.training.sequence_training import train_sequence_model
    from nlpladder.training.trainer import set_all_seeds

    options = pair_tokenizer_options(rung, settings)
    source, target = _train_tokenizers(data, options)
    set_all_seeds(seed)
    model = _build_model(rung, settings, source, target)

    def rows(split: str) -> ParallelRows:
        pairs = data.splits[split]
        return ParallelRows(
            _encode(source, pairs.source, training.max_length), _encode(target, pairs.target, training.max_length)
        )

    validation = examples_of(data.splits["validation"])

    def evaluate(trained: Any) -> dict[str, float]:
        translator = Translator(trained, source, None if source is target else target)
        found = translator.translate(validation.source, num_beams=1, alignments=False)
        return {"bleu": bleu([translation.text for translation in found], validation.references)}

    model, result = train_sequence_model(
        model, train_set=rows("train"), validation_set=rows("validation"), options=training,
        folder=folder.checkpoints, seed=seed, name=rung.name, pad_token_id=source.pad_token_id, evaluate=evaluate,
        time_limit=time_limit,
    )  # fmt: skip
    return Translator(model, source, None if source is target else target), result


def _train_tokenizers(data: ParallelText, options: PairTokenizerOptions) -> tuple[Any, Any]:
    """Return the tokenizers of source and target, the same object where they share a vocabulary."""
    from nlpladder.text.subwords import train_subword_tokenizer

    pairs = data.splits["train"]
    settings: dict[str, Any] = {
        "scheme": options.scheme, "vocab_size": options.vocab_size, "lowercase": options.lowercase,
        "min_frequency": options.min_frequency, "template": "eos", "model_max_length": 10**9,
    }  # fmt: skip
    if options.joint:
        tokenizer = train_subword_tokenizer([*pairs.source, *pairs.target], **settings)
        return tokenizer, tokenizer
    return train_subword_tokenizer(pairs.source, **settings), train_subword_tokenizer(pairs.target, **settings)


def _encode(tokenizer: Any, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Return token ids with the end mark, cut to `max_length` tokens."""
    encoded = tokenizer(list(texts), return_attention_mask=False)["input_ids"]
    return [ids if len(ids) <= max_length else [*ids[: max_length - 1], ids[-1]] for ids in encoded]


def _build_model(rung: Rung, settings: RungSettings, source: Any, target: Any) -> Any:
    """Build the rung's model with random weights."""
    wanted = {**rung.model_settings, **settings.model}
    joint = source is target
    if joint:
        wanted.setdefault("tie_encoder_decoder_embeddings", True)
    elif wanted.get("tie_encoder_decoder_embeddings"):
        raise ConfigError("tie_encoder_decoder_embeddings needs one vocabulary for both languages: --tokenizer.joint.")
    wanted.setdefault("tie_word_embeddings", True)
    return build_model(
        rung,
        wanted,
        vocab_size=len(source),
        decoder_vocab_size=len(target),
        pad_token_id=source.pad_token_id,
        bos_token_id=target.bos_token_id,
        eos_token_id=target.eos_token_id,
        decoder_start_token_id=target.bos_token_id,
        is_encoder_decoder=True,
    )


def _finish(
    rung: Rung,
    data: ParallelText,
    translator: Translator,
    result: TrainingResult,
    folder: RunFolder,
    training: SequenceTrainingOptions,
) -> None:
    """Save, check the reload, translate the test split, score it, draw, write the record."""
    from nlpladder.drift.saving import save_text_profile
    from nlpladder.hub.cards import card_facts, write_card
    from nlpladder.training.sequence_report import write_translation_report

    translator.save_pretrained(folder.path)
    test = examples_of(data.splits["test"])
    check_same_translations(translator, folder.path, test.source[:RELOAD_SENTENCES])
    started = time.perf_counter()
    translations = translator.translate(test.source, num_beams=NUM_BEAMS, alignments=False)
    seconds = time.perf_counter() - started
    statistics = SentenceStatistics.of([found.text for found in translations], test.references)
    folder.write_columns(STATISTICS_FILE, statistics.to_columns())
    write_text(folder.path / TRANSLATIONS_FILE, _as_tsv(test, translations))
    scores = {name: score.mean for name, score in score_translations([statistics]).items()}
    metrics: dict[str, Any] = {
        "split": "test",
        "n": len(test),
        "tested": f"test split, {test.describe()}, beam {NUM_BEAMS}",
        "signatures": signatures(num_references=test.references_each),
        "scores": {name: score.to_dict() for name, score in scores.items()},
    }
    for name in (split for split in data.splits if split not in ("train", "validation", "test")):
        metrics[name] = _score_split(translator, data, name)
    folder.write_metrics(metrics)
    facts = training_facts(rung, translator, result, training, items_per_second=len(test) / max(seconds, 1e-9))
    facts |= {
        "data": {
            "rows": {name: len(split.source) for name, split in data.splits.items()},
            "notes": list(data.notes),
            "ceilings": dict(data.ceilings),
        },
    }
    write_translation_report(
        folder.path, translator, test.source, [rights[0] for rights in test.references], statistics, result.history
    )
    train, validation = data.splits["train"], data.splits["validation"]
    save_text_profile(folder.path, "translate", train=train.source, held_out=validation.source)
    facts |= card_facts(rung, folder.record["identity"])
    write_card(folder.path, record={**folder.record, **facts})
    folder.finish(**facts)


def _score_split(translator: Translator, data: ParallelText, name: str) -> dict[str, Any]:
    """Score a further split, such as the combinations that training never showed."""
    split = examples_of(data.splits[name])
    found = translator.translate(split.source, num_beams=NUM_BEAMS, alignments=False)
    statistics = SentenceStatistics.of([translation.text for translation in found], split.references)
    scores = score_translations([statistics])
    return {"n": len(split), "scores": {key: score.mean.to_dict() for key, score in scores.items()}}


def read_statistics(run: RungRun) -> SentenceStatistics:
    """Return the statistics of each test sentence that a run wrote."""
    return SentenceStatistics.from_columns(run.folder.read_columns(STATISTICS_FILE))


def check_same_translations(translator: Translator, folder: Path, texts: Sequence[str]) -> None:
    """Compare the trained model's translations with those of the model read back from `folder`.

    Raises:
        CheckFailedError: when a translation or its score differs.
    """
    from nlpladder.hub.loading import load

    reloaded = load(folder)
    reloaded.model.to(next(translator.model.parameters()).device)
    answers = [one.translate(texts, num_beams=NUM_BEAMS, alignments=False) for one in (translator, reloaded)]
    for text, expected, found in zip(texts, *answers, strict=True):
        if (expected.text, expected.score) != (found.text, found.score):
            raise CheckFailedError(
                f"The model saved in {folder} translates {text[:40]!r} as {found.text[:60]!r}, the trained one as "
                f"{expected.text[:60]!r}. Do not use it."
            )


def _as_tsv(examples: Examples, translations: Sequence[Translation]) -> str:
    lines = ["source\treference\ttranslation\tscore"]
    for source, rights, found in zip(examples.source, examples.references, translations, strict=True):
        cells = (" ".join(cell.split()) for cell in (source, REFERENCE_SEPARATOR.join(rights), found.text))
        lines.append("\t".join([*cells, f"{found.score:.4f}"]))
    return "\n".join(lines) + "\n"


def sample_translations(run: RungRun, count: int = 3) -> list[Mapping[str, str]]:
    """Return the first test sentences of a run with reference and translation."""
    lines = (run.folder.path / TRANSLATIONS_FILE).read_text(encoding="utf-8").splitlines()
    names = lines[0].split("\t")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1 : count + 1]]


def translation_summary(run: RungRun, folder: str) -> str:
    """Return the closing lines of a translation recipe."""
    from nlpladder.evaluation.intervals import Score
    from nlpladder.views.run_summary import run_summary

    use = "model.translate(['a sentence'])[0].text"
    lines = [run_summary(run.record, run.metrics, folder, use=use, speed_unit="sentences", was_there=run.was_there)]
    for name in (key for key, value in run.metrics.items() if isinstance(value, dict) and "scores" in value):
        found = {key: Score.from_dict(run.metrics[name]["scores"][key]) for key in ("bleu", "exact_match")}
        lines.append(
            f"split {name!r}, {run.metrics[name]['n']:,} sentences: BLEU {found['bleu'].format()}, "
            f"exact match {found['exact_match'].format()} %"
        )
    for sample in sample_translations(run):
        lines += [f"source:      {sample['source']}", f"translation: {sample['translation']}",
                  f"reference:   {sample['reference']}"]  # fmt: skip
    lines.append(f"translate:  python recipes/translate.py --model {folder}   (types in sentences; --input FILE)")
    return "\n".join(lines)
