"""Measure nlpladder against its peers: time, peak memory, and whether the results are the same.

    python scripts/benchmark.py features
    python scripts/benchmark.py features --dataset reviews.csv --repeats 7

Each measurement is a process of its own, the contenders take turns (A B A B), and the table shows medians, so a busy
machine disturbs all alike. This program stays small on purpose: a child's peak memory begins at its parent's size.

A suite is a module of ``benchmark_suites`` (see ``benchmark_suites/features.py``) with

* ``CONTENDERS``: name of each contender and what it needs, ours last: a package, or ``program:NAME`` on the PATH;
* ``CASES``: names of what is measured;
* ``add_arguments(parser)``: options of its own;
* ``write_input(options, folder) -> str``: write what all measurements read, and describe it;
* ``prepare(case, contender, folder) -> (run, fingerprint)``: do all that is not measured; return the call that is, and
  what turns its result into a string that is the same for all contenders if they agree (None: cannot be compared);
* ``compile_kernels()``: call every compiled kernel once;
* perhaps ``amount(case, folder) -> (number, unit)``: the work of a case, for a column of work a second;
* perhaps ``skip(case, contender) -> str | None``: why a contender cannot run a case.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

SUITES = {
    "features": "bag-of-words, TF-IDF and hashing vectorisers against scikit-learn",
    "vectors": "Word2Vec and FastText against gensim",
    "glove": "GloVe against the Stanford programs, from text to vectors",
    "ngram": "n-gram models against KenLM: estimation, ARPA files, scoring",
    "neural": "our Transformer and recurrent models against transformers and torch: training, beam search",
    "finetuning": "fine-tuning a BERT and a GPT against plain scripts of transformers, and the share of each measure",
}


@dataclass(frozen=True)
class Measurement:
    """One run of one case.

    Attributes:
        seconds: Wall-clock time of the measured call.
        peak_mib: Most memory of the process, or of one program that it started, at any time.
        base_mib: Most memory before the measured call: imports and input.
        fingerprint: Equal for equal results; None if results cannot be compared.
    """

    seconds: float
    peak_mib: float
    base_mib: float
    fingerprint: str | None


def load_suite(name: str) -> ModuleType:
    """Import the module of a suite."""
    return importlib.import_module(f"benchmark_suites.{name}")


def peak_memory_mib() -> float:
    """Return the most memory that this process, or one program that it started, has used."""
    import resource

    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure(suite: ModuleType, case: str, contender: str, folder: Path) -> Measurement:
    """Prepare and run a case in this process."""
    run, fingerprint = suite.prepare(case, contender, folder)
    base = peak_memory_mib()
    begin = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - begin
    return Measurement(seconds, peak_memory_mib(), base, fingerprint(result))


def run_child(task: dict[str, Any], **environment: str) -> Any:
    """Do a task of `do_task` in a process of its own and return its result."""
    command = [sys.executable, str(Path(__file__).resolve()), "--task", json.dumps(task)]
    child = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    if child.returncode != 0:
        raise SystemExit(f"The task {task} failed:\n{child.stderr}")
    return json.loads(child.stdout.splitlines()[-1])


def do_task(task: dict[str, Any]) -> Any:
    """Do what `run_child` asked for."""
    suite = load_suite(task["suite"])
    if task["do"] == "write_input":
        return suite.write_input(task["options"], Path(task["folder"]))
    if task["do"] == "amount":
        return suite.amount(task["case"], Path(task["folder"]))
    if task["do"] == "compile":
        begin = time.perf_counter()
        suite.compile_kernels()
        return time.perf_counter() - begin
    return vars(measure(suite, task["case"], task["contender"], Path(task["folder"])))


def measure_compilation(suite_name: str) -> float:
    """Return the seconds that the first use of all kernels takes more than the next ones; fills the usual cache too."""
    task = {"do": "compile", "suite": suite_name}
    with tempfile.TemporaryDirectory() as empty:
        first = run_child(task, NUMBA_CACHE_DIR=empty)
    run_child(task)
    return max(first - run_child(task), 0.0)


def run_suite(
    suite_name: str, cases: list[str], contenders: list[str], repeats: int, folder: Path
) -> dict[str, dict[str, list[Measurement]]]:
    """Measure cases of a suite; the contenders take turns.

    Returns:
        The measurements by case and contender.
    """
    results: dict[str, dict[str, list[Measurement]]] = {}
    suite = load_suite(suite_name)
    for case in cases:
        able = []
        for contender in contenders:
            reason = suite.skip(case, contender) if hasattr(suite, "skip") else None
            print(f"{case}: {contender} is skipped: {reason}", file=sys.stderr) if reason else able.append(contender)
        results[case] = {contender: [] for contender in able}
        for repeat in range(repeats):
            for contender in able:
                print(f"{case}: {contender}, {repeat + 1} of {repeats}", file=sys.stderr)
                task = {
                    "do": "measure",
                    "suite": suite_name,
                    "case": case,
                    "contender": contender,
                    "folder": str(folder),
                }
                results[case][contender].append(Measurement(**run_child(task)))
    return results


def summarise(
    results: dict[str, dict[str, list[Measurement]]], amounts: dict[str, tuple[float, str]] | None = None
) -> list[dict[str, Any]]:
    """Return a row for each case and contender: medians, ratios to the last contender, and whether results agree."""
    rows = []
    for case, by_contender in results.items():
        ours = list(by_contender.values())[-1]
        prints = {one.fingerprint for measurements in by_contender.values() for one in measurements}
        for contender, measurements in by_contender.items():
            row: dict[str, Any] = {"case": case, "contender": contender}
            for field in ("seconds", "peak_mib", "base_mib"):
                row[field] = statistics.median(getattr(one, field) for one in measurements)
            row["times_our_seconds"] = row["seconds"] / statistics.median(one.seconds for one in ours)
            row["times_our_peak"] = row["peak_mib"] / statistics.median(one.peak_mib for one in ours)
            amount, unit = (amounts or {}).get(case, (None, None))
            row["rate"] = None if amount is None else f"{amount / row['seconds']:,.0f} {unit}"
            row["identical"] = None if None in prints or len(by_contender) == 1 else len(prints) == 1
            rows.append(row)
    return rows


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """Return the table of `summarise` in Markdown."""
    verdicts = {True: "yes", False: "NO", None: ""}
    lines = [
        "| case | contender | seconds | times ours | a second | peak MiB | times ours | before, MiB | identical |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        time_cells = f"{row['seconds']:.3f} | {row['times_our_seconds']:.2f} | {row['rate'] or ''}"
        memory_cells = f"{row['peak_mib']:.0f} | {row['times_our_peak']:.2f} | {row['base_mib']:.0f}"
        verdict = verdicts[row["identical"]]
        lines.append(f"| {row['case']} | {row['contender']} | {time_cells} | {memory_cells} | {verdict} |")
    return "\n".join(lines)


def installed_contenders(suite: ModuleType) -> list[str]:
    """Return the contenders whose package or program is installed, and name the others."""
    present = []
    for contender, needed in suite.CONTENDERS.items():
        kind, _, program = needed.partition("program:")
        if (importlib.util.find_spec(kind) if kind else shutil.which(program)) is None:
            where = "" if kind else f" (no program {program} on the PATH)"
            print(f"{contender} is not installed{where}: skipped.", file=sys.stderr)
        else:
            present.append(contender)
    return present


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="suite", required=True)
    for name, purpose in SUITES.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("--repeats", type=int, default=5, help="runs of each case and contender (default: 5)")
        command.add_argument("--cases", nargs="+", metavar="TEXT", help="only cases whose name holds one of these")
        command.add_argument("--format", choices=["markdown", "json"], default="markdown", help="default: markdown")
        load_suite(name).add_arguments(command)
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    return options


def describe_contender(name: str) -> str:
    """Return a contender's name, with its version where it is a package of that name."""
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name


def main(arguments: list[str] | None = None) -> int:
    """Run the suite that the command line names; 1 if results that should be identical are not."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["--task"]:
        print(json.dumps(do_task(json.loads(arguments[1]))))
        return 0
    options = parse_arguments(arguments)
    suite = load_suite(options.suite)
    contenders = installed_contenders(suite)
    cases = [case for case in suite.CASES if not options.cases or any(part in case for part in options.cases)]
    if not cases:
        raise SystemExit(f"No case holds {' or '.join(options.cases)}. Cases: {'; '.join(suite.CASES)}.")
    with tempfile.TemporaryDirectory() as folder:
        task = {"do": "write_input", "suite": options.suite, "options": vars(options), "folder": folder}
        description = run_child(task)
        compilation = measure_compilation(options.suite)
        results = run_suite(options.suite, cases, contenders, options.repeats, Path(folder))
        amounts = {}
        if hasattr(suite, "amount"):
            task = {"do": "amount", "suite": options.suite, "folder": folder}
            amounts = {case: tuple(run_child({**task, "case": case})) for case in cases}
        rows = summarise({case: found for case, found in results.items() if found}, amounts)
    if options.format == "json":
        print(json.dumps({"input": description, "compilation_seconds": compilation, "rows": rows}, indent=2))
    else:
        versions = ", ".join(map(describe_contender, contenders))
        machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}"
        print(f"{description} Medians of {options.repeats}. {machine}, {versions}.")
        print(f"First compilation of our kernels, once on a machine: {compilation:.1f} s.\n")
        print(as_markdown(rows))
    return int(any(row["identical"] is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
