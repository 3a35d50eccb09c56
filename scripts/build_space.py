"""Write the folder of a Hugging Face Space that shows the demo on some runs, try it, and push it.

    python scripts/build_space.py --output_dir space                               # the runs of `make demo`
    python scripts/build_space.py --models outputs/reviews mt=outputs/en-de/seed-0 --output_dir space
    python scripts/build_space.py --models outputs/reviews --output_dir space --push ada/ladder
    python scripts/build_space.py --output_dir space --push ada/ladder --folder_is_built --yes

The folder holds the demo, the package, pinned requirements with torch for CPUs, and of the runs what somebody else
needs: safetensors, json, cards and tables; no pickle, no text of the data, no path of this machine. --try starts it
from a copy elsewhere, without this checkout, and asks it for its models and a classification. --push prints the plan
first, asks, makes a private Space, and writes over nothing but an earlier push of the same models, unless --update is
said.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlpladder.config import run_recipe
from nlpladder.errors import CheckFailedError, ConfigError, RunError
from nlpladder.hub.publish_options import check_repo_id
from nlpladder.hub.push_plan import PushPlan, plan_files, readable_size
from space_files.choosing import ROOT, SpaceFiles, collect, write

if TYPE_CHECKING:
    from huggingface_hub import HfApi

#: What `make demo` trains where there is nothing else to show.
TINY = ROOT / "outputs/demo"
_START_SECONDS = 240.0
#: Says which package the Space would use.
_WHERE = "import runpy; runpy.run_path('app.py'); import nlpladder; print(nlpladder.__file__)"


def runs_of(named: list[str]) -> dict[str, Path]:
    """Return runs by the name that they get in the Space.

    Args:
        named: Folders, also as ``name=folder``.

    Raises:
        ConfigError: Two have the same name.
        RunError: Nothing is named, and there are no tiny runs.
    """
    if not named and not TINY.is_dir():
        raise RunError("Say which runs to show (--models RUN …), or train tiny ones first: python demos/tiny_ladder.py")
    runs: dict[str, Path] = {}
    for text in named or [entry.as_posix() for entry in sorted(TINY.iterdir()) if entry.is_dir()]:
        name, equals, folder = text.partition("=")
        path = Path(folder if equals else text)
        name = name if equals else path.resolve().name
        if name in runs:
            raise ConfigError(f"Two runs would be called {name!r}. Name them: --models one={runs[name]} two={path}")
        runs[name] = path
    return runs


def try_space(folder: Path) -> dict[str, Any]:
    """Start a Space from a copy elsewhere, without this checkout, and ask it.

    Args:
        folder: Of the Space.

    Returns:
        Seconds to its first answer, and the models that it lists.

    Raises:
        CheckFailedError: It does not start, takes the package from elsewhere, or does not list its models.
    """
    from gradio_client import Client

    with tempfile.TemporaryDirectory(prefix="nlpladder-space-") as place:
        copy = Path(place) / "app"
        shutil.copytree(folder, copy)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HF_", "GRADIO"))
        }
        environment |= {
            "HOME": place, "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1",
            "HF_HOME": f"{place}/home", "NO_PROXY": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        where = subprocess.run(
            [sys.executable, "-c", _WHERE],
            cwd=copy, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not Path(where.stdout.strip() or "/").is_relative_to(copy.resolve()):
            raise CheckFailedError(f"The Space does not use its own nlpladder: {where.stdout}{where.stderr[-500:]}")
        log = Path(place) / "log"
        started = time.monotonic()
        with (
            log.open("wb") as stream,
            subprocess.Popen(
                [sys.executable, "app.py"], cwd=copy, env=environment, stdin=subprocess.DEVNULL, stdout=stream,
                stderr=subprocess.STDOUT,
            ) as server,
        ):  # fmt: skip
            try:
                while not _listens(port):
                    if server.poll() is not None or time.monotonic() - started > _START_SECONDS:
                        text = log.read_text(encoding="utf-8", errors="replace")[-3000:]
                        raise CheckFailedError(f"The Space did not start (exit code {server.poll()}):\n{text}")
                    time.sleep(0.1)
                client = Client(f"http://127.0.0.1:{port}", verbose=False)
                listed = client.predict(api_name="/models")[0]
                found = {"seconds": round(time.monotonic() - started, 1), "models": [row[0] for row in listed["data"]]}
                rows = {row[0]: " ".join(map(str, row[1:])) for row in listed["data"]}
                if any("classif" in text for text in rows.values()):
                    found["classify"] = bool(client.predict(text="The plot is dull.", api_name="/classify"))
                client.close()
            finally:
                server.terminate()
                try:
                    server.wait(20)
                except subprocess.TimeoutExpired:
                    server.kill()
    return found


def space_api(token: str | None = None) -> HfApi:
    """Return a client that asks of Spaces what `nlpladder.hub` asks of models.

    Args:
        token: By default that of ``hf auth login`` or HF_TOKEN.
    """
    from functools import partialmethod

    from huggingface_hub import HfApi, get_token

    import nlpladder

    class SpaceApi(HfApi):
        """The same calls, for Spaces."""

        model_info = HfApi.space_info
        create_repo = partialmethod(HfApi.create_repo, repo_type="space", space_sdk="gradio")
        create_branch = partialmethod(HfApi.create_branch, repo_type="space")
        list_repo_refs = partialmethod(HfApi.list_repo_refs, repo_type="space")
        list_repo_tree = partialmethod(HfApi.list_repo_tree, repo_type="space")
        hf_hub_download = partialmethod(HfApi.hf_hub_download, repo_type="space")
        preupload_lfs_files = partialmethod(HfApi.preupload_lfs_files, repo_type="space")
        create_commit = partialmethod(HfApi.create_commit, repo_type="space")

    return SpaceApi(token=token or get_token(), library_name="nlpladder", library_version=nlpladder.__version__)


def plan_space(folder: Path, repo_id: str, *, api: HfApi, public: bool = False, update: bool = False) -> PushPlan:
    """Look at a built folder and at the Hub, and say what a push would do; nothing is sent.

    Args:
        folder: Of a Space, as `write` left it.
        repo_id: ``owner/name``.
        api: Of `space_api`.
        public: Make a new Space public.
        update: Write over a Space that holds something else than an earlier push of the same models.

    Raises:
        RunError: The folder is no Space, the token may not write, or the Space is somebody else's.
    """
    from nlpladder.hub.account import check_account
    from nlpladder.hub.push_checks import Subject
    from nlpladder.hub.remote import look

    if not (folder / "app.py").is_file() or not (folder / "nlpladder/__init__.py").is_file():
        raise RunError(f"{folder} is no folder that build_space.py wrote.")
    kept = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    kept = {path: file for path, file in kept.items() if "__pycache__" not in path}
    models = sorted({str(Path(path).parent) for path in kept if path.endswith(("config.json", "adapter_config.json"))})
    identity = hashlib.sha256(json.dumps(["space", *models]).encode()).hexdigest()
    api = check_account(repo_id, api=api)
    subject = Subject(folder, {}, identity, f"the demo with {len(models)} models")
    remote = look(api, repo_id)
    return plan_files(subject, repo_id, kept, {}, remote, public=public, update=update)


def push_space(plan: PushPlan, *, api: HfApi, ask: Any = None, yes: bool = False) -> str:
    """Print a plan, ask, and carry it out.

    Args:
        plan: Of `plan_space`.
        api: Of `space_api`.
        ask: Called with a question; by default asks in the terminal.
        yes: Do not ask.

    Returns:
        What was done.

    Raises:
        RunError: The Space changed since the plan, the Hub says no, or there is no terminal to ask in.
    """
    from nlpladder.hub.account import scrub
    from nlpladder.hub.pushing import push

    print(scrub(plan.describe().replace("Push of ", "Push as a Space of ", 1), api.token), flush=True)
    if plan.nothing_to_do:
        return "Nothing had to be sent."
    if not yes and not (ask or _ask)("Push this Space?"):
        return "Nothing was sent."
    done = push(plan, api=api, fresh=space_api)
    where = f"{api.endpoint}/spaces/{done.repo_id}"
    return (
        f"Pushed to {where}, commit {done.commit[:12]}: sent {len(done.sent)} files "
        f"({readable_size(done.bytes_sent)}) in {done.seconds:.1f} s; every file was read back with the right checksum."
    )


def describe(files: SpaceFiles, folder: Path) -> str:
    """Return what was written, for a reader.

    Args:
        files: Of the Space.
        folder: Where they lie.
    """
    sizes = files.sizes()
    lines = [f"{folder}: {len(sizes)} files, {readable_size(sum(sizes.values()))}"]
    for name in files.models:
        size = sum(count for path, count in sizes.items() if path.startswith(f"models/{name}/"))
        lines.append(f"  {name}  {readable_size(size)}")
    if files.left_out:
        lines.append(f"  left out of the runs: {len(files.left_out)} files that need not or must not travel")
    return "\n".join(lines)


def _listens(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1.0)
        return one.connect_ex(("127.0.0.1", port)) == 0


def _ask(question: str) -> bool:
    if not sys.stdin.isatty():
        raise RunError("Nothing was sent: there is no terminal to ask in. Say --yes to push this plan.")
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="the new folder")
    parser.add_argument("--models", nargs="+", default=[], metavar="RUN", help="runs, saved models or folders of runs")
    parser.add_argument("--title", default="nlpladder", help="of the Space")
    parser.add_argument("--max_mb", type=float, default=1000.0, help="that the Space may have")
    parser.add_argument("--folder_is_built", action="store_true", help="push what stands in output_dir already")
    parser.add_argument("--try", dest="trial", action="store_true", help="start it from a copy, and ask it")
    parser.add_argument("--push", metavar="USER/SPACE", help="push it to the Hub")
    parser.add_argument("--public", action="store_true", help="make a new Space public")
    parser.add_argument("--update", action="store_true", help="write over a Space that holds something else")
    parser.add_argument("--yes", action="store_true", help="push without asking")
    parser.add_argument("--dry_run", action="store_true", help="print the plan of the push and send nothing")
    arguments = parser.parse_args()
    folder = arguments.output_dir
    if arguments.push is not None:
        check_repo_id(arguments.push, option_name="push")
    if "\n" in arguments.title or ":" in arguments.title or not arguments.title.strip():
        raise ConfigError("--title must be one line without a colon: it stands in the head of a YAML block.")
    if not arguments.folder_is_built:
        if folder.exists():
            raise RunError(f"{folder} exists; nothing is written over. Name a new folder, or say --folder_is_built.")
        files = collect(runs_of(arguments.models), title=arguments.title, max_bytes=int(arguments.max_mb * 1e6))
        write(files, folder)
        print(describe(files, folder))
    if arguments.trial:
        print(f"tried: {try_space(folder)}")
    if arguments.push is not None:
        from nlpladder.train_rung import quiet_libraries

        quiet_libraries()
        api = space_api()
        plan = plan_space(folder, arguments.push, api=api, public=arguments.public, update=arguments.update)
        ask = (lambda question: False) if arguments.dry_run else None
        print(push_space(plan, api=api, ask=ask, yes=arguments.yes and not arguments.dry_run))


if __name__ == "__main__":
    run_recipe(main)
