"""Break runs at exact moments, start the same command again, and compare with the run that nobody disturbed.

    python scripts/check_survival.py
    python scripts/check_survival.py --cases classifier,lstm --faults kill,term --format json

Each case is a recipe with tiny settings on a built-in world. Each fault strikes in the middle of an epoch or of the
second checkpoint:

    kill              -9 between the backward pass and the update of a step
    save-weights      -9 in the middle of writing the weights of a checkpoint
    save-optimizer    the same for the state of the optimiser
    save-state        the same for the records of the Trainer
    save-mark         -9 when all is written but the mark that makes the checkpoint count
    term              SIGTERM in a step; the process must end by itself, with code 143
    disk              no room for the checkpoint; the process must say so, with code 2

The table says how many steps had to be made twice, and whether the final weights and scores are those of the
undisturbed run, bit for bit. With root's rights the full disk is a real one, a small tmpfs; else the size of files is
limited.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from survival_checks.faults import STAGES, Fault, start

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPES = REPOSITORY / "recipes"
FAULTS = ("kill", *(f"save-{stage}" for stage in STAGES), "term", "disk")
#: How a start must end that a fault has struck.
EXIT_CODES = {"kill": -9, **{f"save-{stage}": -9 for stage in STAGES}, "term": 143, "disk": 2}
DISK_MIB = 64

REVIEWS = "world:reviews?train=96&validation=24&test=24&unlabeled=150"
PAIRS = "world:phrasebook?train=80&validation=10&test=12&compositional=6"
STORIES = "world:stories?train=80&validation=8&test=10"
SEQUENCES = "{num_train_epochs: 3, precision: fp32, warmup_ratio: 0.1, average_checkpoints: 0, BATCH}"
TINY = ("--precision", "fp32", "--num_train_epochs", "3", "--batch_size", "16")
PRETRAINING = (*TINY, "--dataset", REVIEWS, "--size", "tiny", "--vocab_size", "600", "--max_length", "64")


@dataclass(frozen=True)
class Case:
    """A recipe with settings.

    Attributes:
        recipe: File below ``recipes``.
        arguments: Of the command line; ``{name}`` stands for the folder of another case's undisturbed run.
    """

    recipe: str
    arguments: tuple[str, ...]


CASES = {
    "classifier": Case(
        "train_text_classifier.py",
        ("--dataset", REVIEWS, "--rung", "bilstm", "--model", "{hidden_size: 16, embedding_size: 16}", "--training",
         "{num_train_epochs: 3, batch_size: 16, precision: fp32, warmup_ratio: 0.1}"),
    ),
    "lstm": Case(
        "train_lstm_lm.py",
        ("--dataset", STORIES, "--model", "{hidden_size: 16, embedding_size: 16}", "--training",
         SEQUENCES.replace("BATCH", "batch_size: 4, block_length: 16, carry_state: true")),
    ),
    "seq2seq": Case(
        "train_seq2seq.py",
        ("--dataset", PAIRS, "--model", "{hidden_size: 16, embedding_size: 16}", "--training",
         SEQUENCES.replace("BATCH", "batch_tokens: 200")),
    ),
    "transformer": Case(
        "train_transformer.py",
        ("--dataset", PAIRS, "--task", "translation", "--model", "{hidden_size: 16}", "--training",
         SEQUENCES.replace("BATCH", "batch_tokens: 200").replace("checkpoints: 0", "checkpoints: 2")),
    ),
    "pretrain-bert": Case("pretrain.py", (*PRETRAINING, "--objective", "masked")),
    "pretrain-gpt": Case("pretrain.py", (*PRETRAINING, "--objective", "causal", "--select_best_on", "loss")),
    "pretrain-t5": Case("pretrain.py", (*PRETRAINING, "--objective", "span_corruption")),
    "bert": Case(
        "finetune_bert.py",
        (*TINY, "--dataset", REVIEWS, "--model", "{pretrain-bert}", "--task", "classification", "--max_length", "48"),
    ),
    "bert-lora": Case(
        "finetune_bert.py",
        (*TINY, "--dataset", REVIEWS, "--model", "{pretrain-bert}", "--task", "classification", "--peft", "lora",
         "--max_length", "48"),
    ),
    "gpt-lora": Case(
        "finetune_gpt.py",
        (*TINY, "--dataset", STORIES, "--model", "{pretrain-gpt}", "--task", "text", "--peft", "lora",
         "--max_length", "64"),
    ),
    "t5": Case(
        "finetune_t5.py",
        (*TINY, "--dataset", PAIRS, "--model", "{pretrain-t5}", "--num_beams", "1", "--decoded_samples", "4"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Survival:
    """What became of one disturbed run.

    Attributes:
        case: Its name.
        fault: What struck it.
        code: Exit code of the start that was struck.
        expected_code: As it must be.
        lost_steps: Steps that had to be made a second time.
        same_weights: Whether every weight file has the bytes of the undisturbed run.
        same_scores: Whether metrics.json holds the same scores.
        note: What the run said about itself, or what went wrong.
    """

    case: str
    fault: str
    code: int
    expected_code: int
    lost_steps: int
    same_weights: bool
    same_scores: bool
    note: str

    @property
    def survived(self) -> bool:
        """Whether all is as it must be."""
        return self.code == self.expected_code and self.same_weights and self.same_scores


class Survivals:
    """Runs cases below one folder.

    Args:
        folder: For runs and logs.
        disk: A small disk for the runs that find it full; None limits the size of files instead.
    """

    def __init__(self, folder: Path, disk: Path | None) -> None:
        self.folder = folder
        self.disk = disk

    def undisturbed(self, name: str) -> tuple[Path, int]:
        """Return the folder and the number of steps of the run that nothing happened to."""
        run = self.folder / name / "undisturbed"
        if not (run / "run.json").is_file():
            code, _ = self.start(name, run, None)
            if code != 0:
                raise SystemExit(f"{name} fails undisturbed (code {code}):\n{self.tail(run)}")
        return run, int(self.steps(run).read_text())

    def disturbed(self, name: str, kind: str) -> Survival:
        """Let a fault strike a run, start it again, and compare."""
        straight, steps = self.undisturbed(name)
        on_disk = kind == "disk" and self.disk is not None
        run = (self.disk if on_disk and self.disk else self.folder / name) / f"{name}-{kind}"
        fault = Fault(*_kind_and_moment(kind, steps))
        if on_disk:
            os.environ["SURVIVAL_DISK"] = str(self.disk)
        code, before = self.start(name, run, fault)
        os.environ.pop("SURVIVAL_DISK", None)
        if self.disk is not None:
            (self.disk / "ballast").unlink(missing_ok=True)  # there is room again
        said = self.tail(run).strip().splitlines()[-1:]
        again, after = self.start(name, run, None)
        if again != 0:
            return Survival(name, kind, code, EXIT_CODES[kind], -1, False, False, self.tail(run)[-300:])
        notes = " ".join(note for note in _read(run / "run.json").get("notes", []) if "continued" in note)
        return Survival(
            name,
            kind,
            code,
            EXIT_CODES[kind],
            before + after - steps,
            weights_of(run) == weights_of(straight),
            _read(run / "metrics.json").get("scores") == _read(straight / "metrics.json").get("scores"),
            "; ".join([*(said if kind in ("term", "disk") else []), notes]),
        )

    def start(self, name: str, run: Path, fault: Fault | None) -> tuple[int, int]:
        """Start a case and return its exit code and the updates that it has made."""
        case = CASES[name]
        arguments = [self.filled(argument) for argument in case.arguments]
        run.parent.mkdir(parents=True, exist_ok=True)
        code = start(
            RECIPES / case.recipe,
            [*arguments, "--output_dir", str(run)],
            fault=fault,
            log=self.log(run),
            steps=self.steps(run),
        )
        return code, int(self.steps(run).read_text() or 0)

    def filled(self, argument: str) -> str:
        """Put the folder of another case's run where its name stands."""
        base = argument[1:-1]
        return str(self.undisturbed(base)[0]) if argument == f"{{{base}}}" and base in CASES else argument

    def log(self, run: Path) -> Path:
        """Return where a run's output goes; never onto the disk that is full."""
        return self.folder / f"{run.name}-{run.parent.name}.log"

    def steps(self, run: Path) -> Path:
        """Return the file that holds how many updates the last start of a run has made."""
        return self.log(run).with_suffix(".steps")

    def tail(self, run: Path) -> str:
        """Return the last lines that a run has printed."""
        return self.log(run).read_text(errors="replace")[-3000:]


def _kind_and_moment(kind: str, steps: int) -> tuple[str, int, str]:
    """Return when a fault strikes: in the middle of the second of three epochs, or in the second checkpoint."""
    if kind.startswith("save-"):
        return "save", 2, kind.removeprefix("save-")
    return (kind, 2, "") if kind == "disk" else (kind, steps // 2 + 1, "")


def weights_of(run: Path) -> dict[str, str]:
    """Return a hash of every weight file of a run."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(run.glob("*.safetensors"))}


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a tmpfs of `DISK_MIB`, where that is allowed, and give its path; else None."""
    place = folder / "disk"
    place.mkdir()
    mounted = sys.platform == "linux" and os.geteuid() == 0
    if mounted:
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(place)]
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield place if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=False)


def to_markdown(found: Sequence[Survival]) -> str:
    """Return the table: a row a case, a column a fault."""
    kinds = [kind for kind in FAULTS if any(survival.fault == kind for survival in found)]
    lines = [f"| recipe | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    by_place = {(survival.case, survival.fault): survival for survival in found}
    for case in dict.fromkeys(survival.case for survival in found):
        cells = [_cell(by_place.get((case, kind))) for kind in kinds]
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(survival: Survival | None) -> str:
    if survival is None:
        return ""
    if not survival.survived:
        wrong = {
            f"code {survival.code}": survival.code != survival.expected_code,
            "other weights": not survival.same_weights,
            "other scores": not survival.same_scores,
        }
        return f"**{', '.join(name for name, is_wrong in wrong.items() if is_wrong)}**"
    return f"{survival.lost_steps} lost, same bits"


def preload() -> None:
    """Import what every recipe needs, so that a forked start need not."""
    import accelerate  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import peft  # noqa: F401
    import sklearn.metrics  # noqa: F401
    import torch
    import transformers  # noqa: F401

    from nlpladder import launch, train_neural_language_model, train_rung, train_translation  # noqa: F401
    from nlpladder.hub import cards, loading  # noqa: F401
    from nlpladder.training import resilient_trainer, sequence_trainer, trainer  # noqa: F401

    torch.set_num_threads(1)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES), help="which recipes, comma-separated")
    parser.add_argument("--faults", default=",".join(FAULTS), help="which faults, comma-separated")
    parser.add_argument("--format", choices=("markdown", "json"), default="markdown")
    parser.add_argument("--folder", help="where the runs go and stay, an empty one; a temporary one if not given")
    options = parser.parse_args(argv)
    if options.folder and Path(options.folder).is_dir() and any(Path(options.folder).iterdir()):
        parser.error(f"{options.folder} holds files already: runs that are finished would not be run again")
    cases, faults = options.cases.split(","), options.faults.split(",")
    for name, known in ((cases, CASES), (faults, FAULTS)):
        unknown = [part for part in name if part not in known]
        if unknown:
            parser.error(f"{unknown[0]!r} is unknown; there are {', '.join(known)}")
    os.environ.update({"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"})
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.chdir(REPOSITORY)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the small disk must not stay mounted
    preload()
    found = []
    with tempfile.TemporaryDirectory(prefix="survival-") as temporary:
        folder = Path(options.folder or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        with small_disk(Path(temporary)) as disk:
            survivals = Survivals(folder, disk)
            for case in cases:
                for kind in faults:
                    found.append(survivals.disturbed(case, kind))
                    print(f"{case}, {kind}: {_cell(found[-1])}; {found[-1].note}", file=sys.stderr, flush=True)
        full = f"a tmpfs of {DISK_MIB} MiB" if disk is not None else "a limit on the size of files"
    if options.format == "json":
        print(json.dumps([{**asdict(survival), "survived": survival.survived} for survival in found], indent=2))
    else:
        print(f"{to_markdown(found)}\n\nThe full disk was {full}.")
    return int(not all(survival.survived for survival in found))


if __name__ == "__main__":
    raise SystemExit(main())
