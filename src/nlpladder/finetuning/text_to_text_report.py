"""What a run of text to text leaves to read: predictions, samples, figures, and the closing lines of the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlpladder.data.text_pairs import Examples
from nlpladder.finetuning.text_to_text_options import DECODED_MEASURES
from nlpladder.training.run_folder import write_text

if TYPE_CHECKING:
    from nlpladder.evaluation.generation import GenerationStatistics
    from nlpladder.models.translation import Translation, Translator
    from nlpladder.tasks.base import RungRun

STATISTICS_FILE = "generations.parquet"
PREDICTIONS_FILE = "predictions.tsv"
SAMPLES_FILE = "samples.md"
#: Stands between the references of an example that has several, in a cell of `PREDICTIONS_FILE`.
REFERENCE_SEPARATOR = " ||| "
_SAMPLES = 10
_SHOWN_CHARACTERS = 300


def write_predictions(folder: Path, examples: Examples, found: Sequence[Translation]) -> None:
    """Write ``predictions.tsv`` (a row an example) and ``samples.md`` (some of them, to be read).

    Args:
        folder: The run folder.
        examples: Sources with their references.
        found: The model's answers.
    """
    rows = ["source\treferences\tprediction\tscore"]
    for source, rights, one in zip(examples.source, examples.references, found, strict=True):
        cells = (source, REFERENCE_SEPARATOR.join(rights), one.text)
        # Tabs and ends of lines become spaces, so that no cell needs quotes and any tool can read the file.
        rows.append("\t".join([*(" ".join(cell.split()) for cell in cells), f"{one.score:.4f}"]))
    write_text(folder / PREDICTIONS_FILE, "\n".join(rows) + "\n")
    chosen = [number * len(examples) // _SAMPLES for number in range(_SAMPLES)] if len(examples) > _SAMPLES else None
    lines = ["# Samples from the test split\n"]
    for number in chosen or range(len(examples)):
        lines.append(f"**source** {_shown(examples.source[number])}\n")
        lines.append(f"**prediction** {_shown(found[number].text)}\n")
        lines += [f"**reference** {_shown(right)}\n" for right in examples.references[number][:3]]
        lines.append("---\n")
    write_text(folder / SAMPLES_FILE, "\n".join(lines))


def write_text_to_text_report(
    folder: Path,
    translator: Translator,
    examples: Examples,
    found: Sequence[Translation],
    statistics: GenerationStatistics,
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Write ``figures/*.png``: the loss, BLEU and ROUGE-L by epoch, BLEU by length, attention of some examples.

    Args:
        folder: The run folder.
        translator: The trained model.
        examples: Of the test split.
        found: The model's answers to them.
        statistics: Of the answers.
        history: Records of the training.
    """
    from nlpladder.evaluation.sentence_statistics import COLUMNS, SentenceStatistics
    from nlpladder.models.translation_search import learns_prompts
    from nlpladder.training.sequence_report import write_translation_report
    from nlpladder.views.figures import save_figure
    from nlpladder.views.training_figures import loss_figure, score_by_epoch_figure

    figures = folder / "figures"
    if any("eval_rougeL" in record for record in history):
        drawn = score_by_epoch_figure({"validation": history}, metric="rougeL")
        save_figure(drawn, figures / "rougeL_by_epoch.png")
    if learns_prompts(translator.model):
        # Learnt prompts stand before the source, so that attention would be drawn over tokens without a name.
        save_figure(loss_figure(history), figures / "loss.png")
        return
    columns = statistics.to_columns()
    sentences = SentenceStatistics.from_columns({name: columns[name] for name in COLUMNS})
    firsts = [rights[0] for rights in examples.references]
    write_translation_report(folder, translator, examples.source, firsts, sentences, history)


def text_to_text_summary(run: RungRun, folder: str) -> str:
    """Return the closing lines of the recipe: scores, what changed, samples, what to do next."""
    from nlpladder.evaluation.intervals import Score
    from nlpladder.views.run_summary import run_summary

    use = "model.translate(['a text'])[0].text"
    lines = [run_summary(run.record, run.metrics, folder, use=use, speed_unit="texts", was_there=run.was_there)]
    before = run.metrics.get("validation_before") or {}
    after = _last_measures(run.record.get("history", ()))
    told = [f"{name} {_number(before[name], name)} -> {_number(after[name], name)}" for name in before if name in after]
    if told:
        lines.insert(1, "validation, greedy, before -> after training: " + ", ".join(told))
    for name in (key for key, value in run.metrics.items() if isinstance(value, dict) and "scores" in value):
        scores = {key: Score.from_dict(run.metrics[name]["scores"][key]) for key in ("bleu", "exact_match")}
        lines.append(
            f"split {name!r}, {run.metrics[name]['n']:,} examples: BLEU {scores['bleu'].format()}, "
            f"exact match {scores['exact_match'].format()} %"
        )
    for sample in sample_predictions(run):
        lines += [f"source:     {_shown(sample['source'])}", f"prediction: {_shown(sample['prediction'])}",
                  f"reference:  {_shown(sample['references'].split(REFERENCE_SEPARATOR)[0])}"]  # fmt: skip
    lines.append(f"write:      python recipes/translate.py --model {folder}   (types in texts; --input FILE)")
    return "\n".join(lines)


def sample_predictions(run: RungRun, count: int = 3) -> list[dict[str, str]]:
    """Return test examples of a run, spread over the split: source, references, prediction and score."""
    lines = (run.folder.path / PREDICTIONS_FILE).read_text(encoding="utf-8").split("\n")[:-1]
    names, rows = lines[0].split("\t"), lines[1:]
    chosen = [rows[number * len(rows) // count] for number in range(min(count, len(rows)))]
    return [dict(zip(names, row.split("\t"), strict=True)) for row in chosen]


def _last_measures(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what the last validation that decoded measured."""
    for record in reversed(history):
        found = {name: record[f"eval_{name}"] for name in DECODED_MEASURES if f"eval_{name}" in record}
        if found:
            return found
    return {}


def _number(value: float, name: str) -> str:
    """Return a score as people write it: points as they are, shares in percent."""
    return f"{value:.1f}" if name in ("bleu", "chrf") else f"{100 * value:.1f} %"


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + " …"
