"""Push rungs to a Hub on this machine with the real client, load them in a fresh process, and compare every answer.

    python scripts/check_hub.py outputs/climb
    python scripts/check_hub.py outputs/lstm outputs/lora --faults --output hub.md

Folders are runs, saved models, or folders of runs (a climb). The Hub is tests/loopback_hub.py: the protocol of the real
one on 127.0.0.1. One process pushes all of them, a second one with an empty cache loads them by their ids; the answers
of what it loads must be those of the folders, bit for bit, and the lines that the push printed must run. With --faults
each push meets a dropped upload, a 429 with Retry-After, a 500 while the upload is verified, a 503 and a lost answer at
the commit, and each load a dropped download. An adapter's base that is a folder is pushed before it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpladder.config import run_recipe
from nlpladder.errors import CheckFailedError, RunError

ROOT = Path(__file__).resolve().parent.parent
TEXTS = ["the film was good", "a bad plot , really", "one sentence"]


@dataclass
class Case:
    """A folder that is pushed.

    Attributes:
        folder: The run or saved model.
        repo_id: Where to.
        base: Repository of an adapter's base, which is pushed before.
    """

    folder: Path
    repo_id: str
    base: str | None = None


def find_cases(folders: list[Path], owner: str) -> list[Case]:
    """Return what is to be pushed, bases before their adapters.

    Args:
        folders: Runs, saved models, or folders of them.
        owner: Of the repositories.

    Raises:
        RunError: A folder holds no model.
    """
    from nlpladder.hub.push_copy import adapter_base, is_local_base

    models: list[Path] = []
    for folder in folders:
        inside = [folder] if _is_model(folder) else sorted({entry.parent for entry in folder.rglob("*config.json")})
        inside = [one for one in inside if _is_model(one) and not any(_is_model(parent) for parent in one.parents)]
        if not inside:
            raise RunError(f"{folder} holds no saved model.")
        models += [one.resolve() for one in inside if one.resolve() not in models]
    for model in list(models):
        base = adapter_base(model)
        if base is not None and is_local_base(model, base):
            place = (model / base).resolve() if (model / base).is_dir() else Path(base).expanduser().resolve()
            if place not in models:
                models.append(place)
    models.sort(key=lambda model: adapter_base(model) is not None)
    names: dict[Path, str] = {}
    for model in models:
        parts = [part for part in model.parts[-3:] if part not in ("/", "runs", "outputs")]
        name = "-".join(parts[-2:] if parts[-1].startswith("seed-") else parts[-1:])
        name = "".join(char if char.isalnum() or char in "_-" else "-" for char in name).strip("-") or "model"
        names[model] = name if name not in names.values() else f"{name}-{len(names)}"
    cases = []
    for model in models:
        base = adapter_base(model)
        place = None if base is None or not is_local_base(model, base) else (model / base).resolve()
        place = Path(str(base)).expanduser().resolve() if place is not None and not place.is_dir() else place
        cases.append(Case(model, f"{owner}/{names[model]}", None if place is None else f"{owner}/{names[place]}"))
    return cases


def _is_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))


def answers_of(place: str, *, base: str | None = None) -> dict[str, Any]:
    """Open a model and ask it; what it answers is json-able and exact.

    Args:
        place: Folder or Hub id.
        base: Where an adapter's base lies, when not where it says.
    """
    import numpy as np

    import nlpladder
    from nlpladder.generation import GenerationOptions
    from nlpladder.protocols import MaskedQuery

    model = nlpladder.load(place, **({} if base is None else {"base_model": base}))
    found: dict[str, Any] = {"class": type(model).__name__}
    if hasattr(model, "most_similar"):
        words = list(model.words)[:20]
        return {**found, "words": words, "vectors": np.asarray(model.embed(words)).tolist()}
    if hasattr(model, "predict_proba") and not hasattr(model, "entities"):
        found["probabilities"] = np.asarray(model.predict_proba(TEXTS)).tolist()
    if hasattr(model, "entities"):
        tagged = model.predict([text.split() for text in TEXTS])
        found["tags"] = [[list(one.tags), np.asarray(one.probabilities).tolist()] for one in tagged]
    if hasattr(model, "answer") and not hasattr(model, "next_token_distribution"):
        answer = model.answer(["what was good ?"], [TEXTS[0]])[0]
        found["answer"] = [answer.text, repr(answer)]
    if hasattr(model, "query"):
        ids = model.encode(TEXTS[0]).token_ids
        gaps = [MaskedQuery(ids, (place,), (place,)) for place in range(len(ids))]
        found["gaps"] = [np.asarray(one).tolist() for one in model.query(gaps)]
    if hasattr(model, "encode_texts"):
        found["text_vectors"] = np.asarray(model.encode_texts(TEXTS)).tolist()
    if hasattr(model, "translate"):
        found["translations"] = [[one.text, float(one.score)] for one in model.translate(TEXTS)]
    if hasattr(model, "next_token_distribution"):
        found["logprobs"] = [np.asarray(one.logprobs).tolist() for one in model.score(TEXTS)]
        found["texts"] = model.generate(TEXTS[:1], GenerationOptions(max_new_tokens=8, do_sample=False))
    if len(found) == 1:
        raise CheckFailedError(f"{place} opens as a {found['class']}, which this script knows no question for.")
    return found


def work(order: Path) -> None:
    """Do what the order file says, in a process of its own: push every case, or load it; write times and answers."""
    from nlpladder.hub.publish_options import PublishOptions
    from nlpladder.hub.pushing import publish
    from nlpladder.train_rung import quiet_libraries

    quiet_libraries()
    wanted = json.loads(order.read_text(encoding="utf-8"))
    results: dict[str, Any] = {}
    for case in wanted["cases"]:
        started, result = time.perf_counter(), {}
        try:
            if wanted["job"] == "push":
                options = PublishOptions(push_to_hub=case["repo_id"], hub_base_model=case["base"], hub_yes=True)
                result["said"] = publish(case["folder"], options, say=lambda text: None)
                result["seconds"] = time.perf_counter() - started
                result["answers"] = answers_of(case["folder"])
            else:
                result["answers"] = answers_of(case["repo_id"])
                result["seconds"] = time.perf_counter() - started
                exec(case["lines"], {})  # what the push has printed
        except Exception as error:
            result["error"] = f"{type(error).__name__}: {error}"
        results[case["repo_id"]] = result
    order.with_suffix(".result.json").write_text(json.dumps(results), encoding="utf-8")


def check(folders: list[Path], *, faults: int = 0) -> list[dict[str, Any]]:
    """Push and load what the folders hold; return a row for each model.

    Args:
        folders: Runs, saved models, or folders of them.
        faults: For so many models, let push and load meet faults that they have to survive.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    from loopback_hub import USER, LoopbackHub

    cases = find_cases(folders, USER)
    with LoopbackHub() as hub, tempfile.TemporaryDirectory(prefix="check-hub-") as scratch:
        for case in cases[:faults]:
            _plan_faults(hub, case)
        pushed = _run_worker(hub, "push", cases, Path(scratch))
        for case in cases[:faults]:
            hub.fail_next("drop", method="GET", path=f"/{case.repo_id}/resolve/.*safetensors")
        lines = {name: result.get("said", "").partition("Load it with:\n")[2] for name, result in pushed.items()}
        loaded = _run_worker(hub, "load", cases, Path(scratch), lines)
        rows = [
            _row(case, pushed[case.repo_id], loaded[case.repo_id], hub, faults=number < faults)
            for number, case in enumerate(cases)
        ]
    return rows


def _plan_faults(hub: Any, case: Case) -> None:
    """Let one upload of the case break off, and its commit fail in two ways."""
    weights = sorted(case.folder.rglob("*.safetensors"))
    for file in weights[:1]:
        sha = hashlib.sha256(file.read_bytes()).hexdigest()
        hub.fail_next("drop", method="PUT", path=f"/lfs/objects/{sha}")
        hub.fail_next(500, path=f"/lfs/verify/{sha}")
        hub.fail_next(429, path=rf"/{case.repo_id}\.git/info/lfs/objects/batch", retry_after=0)
    hub.fail_next(503, path=f"/{case.repo_id}/commit/", retry_after=0)
    hub.fail_next("lost", path=f"/{case.repo_id}/commit/")


def _run_worker(
    hub: Any, job: str, cases: list[Case], scratch: Path, lines: dict[str, str] | None = None
) -> dict[str, Any]:
    order = scratch / f"{job}.json"
    listed = [
        {
            "folder": str(case.folder),
            "repo_id": case.repo_id,
            "base": case.base,
            "lines": textwrap.dedent((lines or {}).get(case.repo_id, "")),
        }
        for case in cases
    ]
    order.write_text(json.dumps({"job": job, "cases": listed}), encoding="utf-8")
    home = scratch / f"home-{job}"
    environment = {**os.environ, **hub.environment(home), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check_hub.py"), "--order", str(order)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    result = order.with_suffix(".result.json")
    if done.returncode or not result.is_file():
        raise CheckFailedError(f"The process that was to {job} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    _check_token(hub, [done.stdout, done.stderr], home)
    return json.loads(result.read_text(encoding="utf-8"))


def _check_token(hub: Any, texts: list[str], home: Path) -> None:
    """Make sure that the token went into the Authorization header and nowhere else."""
    for token in hub.accounts:
        told = [text for text in texts if token in text]
        stored = [file for file in home.rglob("*") if file.is_file() and token.encode() in file.read_bytes()]
        sent = [
            one
            for one in hub.requests
            if token.encode() in one.body
            or token in one.path
            or any(token in value for name, value in one.headers.items() if name.lower() != "authorization")
        ]
        contents = [*hub.objects.values(), *(text for name in hub.repos for text in hub.files(name).values())]
        if told or stored or sent or any(token.encode() in content for content in contents):
            raise CheckFailedError("The token was printed, stored, or sent outside of the Authorization header.")


def _row(case: Case, pushed: dict[str, Any], loaded: dict[str, Any], hub: Any, *, faults: bool) -> dict[str, Any]:
    files = hub.files(case.repo_id) if case.repo_id in hub.repos else {}
    error = pushed.get("error") or loaded.get("error")
    met = [fault for fault in hub.faults if not fault.times and _concerns(fault, case, files)]
    return {
        "model": case.repo_id.split("/")[1],
        "class": (pushed.get("answers") or {}).get("class", "?"),
        "files": len(files),
        "megabytes": sum(map(len, files.values())) / 1e6,
        "push_seconds": pushed.get("seconds"),
        "load_seconds": loaded.get("seconds"),
        "equal": error is None and pushed["answers"] == loaded["answers"],
        "faults": len(met) if faults else None,
        "error": error,
    }


def _concerns(fault: Any, case: Case, files: dict[str, bytes]) -> bool:
    own = {hashlib.sha256(content).hexdigest() for path, content in files.items() if path.endswith(".safetensors")}
    return f"/{case.repo_id}" in fault.path or any(sha in fault.path for sha in own)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as Markdown."""
    lines = [
        "| model | opens as | files | MB | push s | load s | answers | faults survived |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        seconds = ["-" if row[name] is None else f"{row[name]:.1f}" for name in ("push_seconds", "load_seconds")]
        answers = "equal" if row["equal"] else row["error"] or "DIFFER"
        survived = "-" if row["faults"] is None else str(row["faults"])
        lines.append(
            f"| {row['model']} | {row['class']} | {row['files']} | {row['megabytes']:.2f} | {seconds[0]} "
            f"| {seconds[1]} | {answers} | {survived} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="runs, saved models, or folders of them")
    parser.add_argument("--faults", action="store_true", help="let every push and load meet faults")
    parser.add_argument("--output", type=Path, help="write the table there too")
    parser.add_argument("--order", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.order is not None:
        work(arguments.order)
        return
    if not arguments.folders:
        parser.error("name at least one folder")
    rows = check(arguments.folders, faults=sys.maxsize if arguments.faults else 0)
    text = table(rows)
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text + "\n", encoding="utf-8")
    if not all(row["equal"] for row in rows):
        raise CheckFailedError("Not every model came back as it was pushed; see the table.")


if __name__ == "__main__":
    run_recipe(main)
