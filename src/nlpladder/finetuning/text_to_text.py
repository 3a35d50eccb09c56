"""Fine-tuning an encoder-decoder on pairs of texts, from the pairs to a finished run folder (Raffel et al. 2020).

"Text to text" is T5's idea: translation, summaries, data to text and questions with answers are one job, to write a
text for a text. The model learns each target by teacher forcing (the decoder reads the target shifted by one and
predicts every token of it), and the test set is answered by beam search. A source that stands in the test set with
several references is one example, answered once and scored against all of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlpladder.data.languages import language_of
from nlpladder.data.parallel import ParallelText
from nlpladder.data.text_pairs import Examples, examples_of
from nlpladder.finetuning.common import base_answers, check_reload, facts_of, identity_of, say_on_main, start_model
from nlpladder.finetuning.text_to_text_options import DECODED_MEASURES, TextToTextOptions
from nlpladder.finetuning.text_to_text_report import (
    STATISTICS_FILE,
    write_predictions,
    write_text_to_text_report,
)
from nlpladder.ladder import Rung, find_rung
from nlpladder.runs import carry_out
from nlpladder.tasks.base import RungRun
from nlpladder.training.run_folder import RunFolder

if TYPE_CHECKING:
    from nlpladder.evaluation.generation import GenerationStatistics
    from nlpladder.finetuning.text_to_text_rows import TextToTextRows
    from nlpladder.models.pretrained.opening import Opened
    from nlpladder.models.translation import Translation, Translator
    from nlpladder.training.neural import TrainingResult

#: Sources on which a model read back from disk must answer as the trained one did.
RELOAD_SOURCES = 8
#: Share of letters beyond a to z in the references, from which on ROUGE reads words of any script.
_FOREIGN_LETTERS = 0.01


def finetune_text_to_text(data: ParallelText, options: TextToTextOptions) -> RungRun:
    """Fine-tune and evaluate a pretrained encoder-decoder; a finished folder of the same identity is read instead.

    Args:
        data: Pairs with splits train, validation and test; further splits are scored too.
        options: Which model, in full or with which adapter, how it is trained, how answers are searched.

    Raises:
        RunError: when the folder holds a run of other arguments.
        ModelError: when the model is no encoder-decoder, is damaged, or cannot take the adapter.
        ConfigError: for a limit beyond the model's, or a language that its tokenizer does not know.
        CheckFailedError: when the saved model does not answer as the trained one.
    """
    from nlpladder.train_rung import quiet_libraries

    quiet_libraries()
    rung = find_rung("t5" if options.peft == "none" else "t5_lora")
    identity = identity_of(
        rung, data.name, data.fingerprint, options, data={"languages": list(data.languages)},
        text=options.text_settings(),
    )  # fmt: skip

    def train(folder: RunFolder) -> _Trained:
        return _train(rung, data, options, folder)

    def finish(trained: _Trained, folder: RunFolder) -> None:
        _finish(rung, data, options, trained, folder)

    return carry_out(identity, options.output_dir, train=train, finish=finish, overwrite=options.overwrite)


@dataclass(frozen=True)
class _Trained:
    """What training leaves for the evaluation.

    Attributes:
        translator: The trained model with its tokenizers.
        result: Of the training.
        before: Measures of the validation examples before the first step; empty where none are decoded.
        notes: On the data, beside those of `ParallelText`.
    """

    translator: Translator
    result: TrainingResult
    before: Mapping[str, float]
    notes: Sequence[str]


def _train(rung: Rung, data: ParallelText, options: TextToTextOptions, folder: RunFolder) -> _Trained:
    """Open the model, encode the pairs, train, on every process of the launch."""
    from accelerate import PartialState

    from nlpladder.finetuning.text_to_text_rows import prepare_rows
    from nlpladder.models.pretrained.adapters import trainable_share
    from nlpladder.models.translation import Translator
    from nlpladder.models.translation_files import load_preprocessing
    from nlpladder.training.sequence_training import refuse_fp16, train_sequence_model

    target_tokenizer, settings = load_preprocessing(options.model, revision=options.model_revision)
    encoded: list[TextToTextRows] = []

    def prepare(opened: Opened) -> None:
        refuse_fp16(opened.model, options)
        encoded.append(
            prepare_rows(
                opened.model, opened.tokenizer, data, options, target_tokenizer=target_tokenizer,
                lowercase=bool(settings.get("lowercase", False)),
            )
        )  # fmt: skip

    opened = start_model(options, "seq2seq", folder=folder.path, prepare=prepare)
    rows = encoded[0]
    for note in rows.notes:
        say_on_main(f"note: {note}")
    say_on_main(f"tested on {examples_of(data.splits['test']).describe('examples')}")
    say_on_main(trainable_share(opened.model))

    def holder(model: Any) -> Translator:
        return Translator(model, opened.tokenizer, rows.target_tokenizer, text_format=rows.text_format)

    examples = examples_of(data.splits["validation"]).spread(options.decoded_samples)

    def evaluate(model: Any) -> dict[str, float]:
        found = holder(model).translate(examples.source, num_beams=1, alignments=False, copy_unknown=False)
        statistics = _statistics([one.text for one in found], examples, data, translation_edit_rate=False)
        return {name: value for name, value in statistics.corpus().items() if name in DECODED_MEASURES}

    before: dict[str, float] = {}
    if options.decoded_samples and PartialState().is_main_process:
        # The base by itself: generate() of a PeftModel puts learnt prompts before the source even where it is disabled.
        with base_answers(opened.model):
            before = evaluate(opened.model.get_base_model() if options.peft != "none" else opened.model)
    model, result = train_sequence_model(
        opened.model, train_set=rows.train, validation_set=rows.validation, options=options.training(),
        folder=folder.checkpoints, seed=options.seed, name=rung.name, pad_token_id=opened.tokenizer.pad_token_id,
        evaluate=evaluate if options.decoded_samples else None, time_limit=options.time_limit,
    )  # fmt: skip
    return _Trained(holder(model), result, before, rows.notes)


def _finish(rung: Rung, data: ParallelText, options: TextToTextOptions, trained: _Trained, folder: RunFolder) -> None:
    """Save, check the reload, answer the test split, score it, draw, write the record."""
    from nlpladder.drift.saving import save_text_profile
    from nlpladder.evaluation.generation import diversity, score_generations
    from nlpladder.evaluation.sentence_statistics import signatures
    from nlpladder.hub.cards import card_facts, write_card

    translator = trained.translator
    translator.save_pretrained(folder.path)
    examples = examples_of(data.splits["test"])
    some = examples.source[:RELOAD_SOURCES]
    check_reload(
        translator, folder.path, lambda model: [(one.text, one.score) for one in _answer(model, some, options)]
    )
    started = time.perf_counter()
    found = _answer(translator, examples.source, options)
    seconds = time.perf_counter() - started
    texts = [one.text for one in found]
    statistics = _statistics(texts, examples, data)
    folder.write_columns(STATISTICS_FILE, statistics.to_columns())
    write_predictions(folder.path, examples, found)
    scores = {name: score.mean for name, score in score_generations([statistics]).items()}
    metrics: dict[str, Any] = {
        "split": "test",
        "n": len(examples),
        "tested": f"test split, {examples.describe('examples')}, beam {options.num_beams}",
        "signatures": {**signatures(num_references=examples.references_each), "rouge": f"words: {_words(data)}"},
        "scores": {name: score.to_dict() for name, score in scores.items()},
        "diversity": diversity(texts),
        "validation_before": dict(trained.before),
    }
    for name in (split for split in data.splits if split not in ("train", "validation", "test")):
        metrics[name] = _score_split(translator, data, name, options)
    folder.write_metrics(metrics)
    rows = {name: len(split) for name, split in data.splits.items()}
    facts = facts_of(
        rung, translator, trained.result, options, items_per_second=len(examples) / max(seconds, 1e-9), rows=rows,
        data_notes=[*data.notes, *trained.notes],
    )  # fmt: skip
    write_text_to_text_report(folder.path, translator, examples, found, statistics, trained.result.history)
    train, validation = data.splits["train"], data.splits["validation"]
    save_text_profile(folder.path, "translate", train=train.source, held_out=validation.source)
    facts |= card_facts(rung, folder.record["identity"])
    write_card(folder.path, record={**folder.record, **facts})
    folder.finish(**facts)


def _answer(translator: Translator, sources: Sequence[str], options: TextToTextOptions) -> list[Translation]:
    return translator.translate(
        sources, num_beams=options.num_beams, length_penalty=options.length_penalty, alignments=False
    )


def _statistics(
    texts: Sequence[str], examples: Examples, data: ParallelText, *, translation_edit_rate: bool | None = None
) -> GenerationStatistics:
    from nlpladder.evaluation.generation import GenerationStatistics

    return GenerationStatistics.of(
        texts, examples.references, words=_words(data), translation_edit_rate=translation_edit_rate
    )


def _words(data: ParallelText) -> Any:
    """Return what a word of ROUGE is: the package's a to z for English, words of any script elsewhere."""
    language = language_of(data.languages[1])
    if language is not None:
        return "english" if language.split("-")[0] == "en" else "unicode"
    letters = [character for text in data.splits["train"].target[:1000] for character in text if character.isalpha()]
    foreign = sum(not character.isascii() for character in letters)
    return "unicode" if foreign > _FOREIGN_LETTERS * len(letters) else "english"


def _score_split(translator: Translator, data: ParallelText, name: str, options: TextToTextOptions) -> dict[str, Any]:
    """Score a further split, such as the combinations that training never showed."""
    from nlpladder.evaluation.generation import score_generations

    examples = examples_of(data.splits[name])
    texts = [one.text for one in _answer(translator, examples.source, options)]
    scores = score_generations([_statistics(texts, examples, data)])
    return {"n": len(examples), "scores": {key: score.mean.to_dict() for key, score in scores.items()}}


def read_statistics(run: RungRun) -> GenerationStatistics:
    """Return the statistics of each test example that a run wrote."""
    from nlpladder.evaluation.generation import GenerationStatistics

    return GenerationStatistics.from_columns(run.folder.read_columns(STATISTICS_FILE))
