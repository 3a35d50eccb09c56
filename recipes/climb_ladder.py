"""Climb the ladder: several rungs on one data set, one table.

    accelerate launch recipes/climb_ladder.py recipes/configs/climb_ladder/reviews.yaml
    accelerate launch recipes/climb_ladder.py --dataset my_reviews.csv --rungs tfidf_logistic,bilstm --seeds 3

Every rung is trained on the same splits and scored by the same scorer. The table says how far each step got, whether
the step is a real difference (paired test against the rung below, Holm-corrected), and what it cost. Finished rungs are
kept: the same command started again goes on where it stopped. The test split is never trained or selected on.
"""

from __future__ import annotations

from dataclasses import dataclass

from nlpladder.config import build, option, parse, run_recipe
from nlpladder.data.options import DataOptions
from nlpladder.ladder import choose_rungs, find_rung


@dataclass(frozen=True, kw_only=True)
class ClimbOptions(DataOptions):
    """Options of the climb."""

    output_dir: str = option("outputs/climb", help="folder of the tables and of one run folder a rung and seed")
    rungs: tuple[str, ...] = option(("all",), help="all, or names from README's table, comma-separated")
    seeds: int = option(1, help="runs of every rung whose result depends on the seed")
    seed: int = option(0, help="the first seed")
    budget_minutes: float | None = option(
        None, help="start no rung after this time and stop the one at work; no limit if not given"
    )
    encoder: str | None = option(
        None,
        help="Hub id or folder of a BERT-family model for the BERT rungs; a small one is pretrained if not given",
    )
    pretraining: dict = option({}, help="size, vocab_size, … of that small BERT (see recipes/pretrain.py --help)")
    pretraining_training: dict = option(
        {}, help="its optimiser settings (see the training options in recipes/README.md)"
    )
    rung_options: dict = option({}, help="by rung: model, training, tokenizer, preprocessor settings")
    overwrite: bool = option(False, help="replace earlier runs in output_dir")


def main() -> None:
    options = parse(ClimbOptions, description=__doc__)
    rungs = choose_rungs(options.rungs)

    from nlpladder.climb import ClimbPlan, climb
    from nlpladder.tasks.base import RungSettings
    from nlpladder.tasks.classification import ClassificationTask
    from nlpladder.train_rung import quiet_libraries, training_options
    from nlpladder.training.options import DEFAULT_PRETRAINING, PretrainingOptions, TrainingOptions
    from nlpladder.views.ladder_table import print_ladder

    quiet_libraries()
    settings = {
        find_rung(name).name: build(RungSettings, values or {}, where=f"rung_options.{name}")
        for name, values in options.rung_options.items()
    }
    for rung in rungs:  # a misspelt option should stop the climb now, not an hour later
        training_options(rung, settings.get(rung.name, RungSettings()))
    data = options.load()
    plan = ClimbPlan(
        rungs=rungs,
        seeds=options.seeds,
        first_seed=options.seed,
        settings=settings,
        encoder=options.encoder,
        pretraining=build(PretrainingOptions, options.pretraining, where="pretraining"),
        pretraining_training=build(
            TrainingOptions, {**DEFAULT_PRETRAINING, **options.pretraining_training}, where="pretraining_training"
        ),
        budget_seconds=None if options.budget_minutes is None else 60 * options.budget_minutes,
        overwrite=options.overwrite,
    )

    def say(line: str) -> None:
        print(line, flush=True)

    from accelerate import PartialState

    if PartialState().is_main_process:
        print(data.describe(), flush=True)
    result = climb(plan, ClassificationTask(data), options.output_dir, say)
    if PartialState().is_main_process:
        print_ladder(result)
        best = max((row for row in result["rows"] if row["runs"]), key=lambda row: _score(row, result), default=None)
        print(f"\nThe table, with figures: {options.output_dir}/ladder.html (and ladder.md, ladder.json)")
        again = "accelerate launch recipes/climb_ladder.py --dataset my_texts.csv"
        if best is not None:
            use = f"import nlpladder; print(nlpladder.load('{best['runs'][0]}').predict_proba(['a text']))"
            print(f'Use the best rung:       python -c "{use}"')
        print(f"Climb on your own data:  {again} --output_dir outputs/mine")
        print(f"Some rungs, three seeds: {again} --rungs tfidf_logistic,bilstm --seeds 3 --output_dir outputs/three")


def _score(row: dict, result: dict) -> float:
    """Order rows by the leading metric, the best last."""
    score = row["scores"][result["columns"][0]]["mean"]
    return score["value"] if score["higher_is_better"] else -score["value"]


if __name__ == "__main__":
    run_recipe(main)
