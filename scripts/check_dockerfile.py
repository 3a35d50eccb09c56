"""Run the steps of deploy/Dockerfile without a Docker engine, start what they made, ask it, and end it.

    sudo python scripts/check_dockerfile.py
    sudo python scripts/check_dockerfile.py --models /path/to/run --build_arg TORCH_INDEX=
    sudo python scripts/check_dockerfile.py --no_server          # the build alone

Every instruction is carried out in an empty root folder of Linux namespaces: RUN in a chroot with this machine's /usr,
C library and Python in place of the base image (without compilers, curl and git, which it has not), COPY through the
.dockerignore. Then the server runs as the image would: as its user, with no capability, a read-only file system, a
loopback and no other network, the models read-only. The health check must fail before and succeed after the start,
every model must answer, and STOPSIGNAL must end it with exit code 0. What stood in for something else is said.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parser import Ignore, Instruction, Stage, argument_of, assignments_of, parse, substitute
from dockerfile_sandbox import BASE_PATH, Limits, Sandbox, check_machine, pip_transport, walk
from nlpladder.config import run_recipe
from nlpladder.errors import CheckFailedError, ConfigError, RunError, did_you_mean

ROOT = Path(__file__).resolve().parent.parent
#: Programs of package managers and registries that cannot be run here.
_NOT_RUN = ("apt-get", "apt", "apk", "dnf")


@dataclass
class Image:
    """What a stage has become.

    Attributes:
        sandbox: Its root folder.
        environment: Of ENV.
        folder: Of WORKDIR.
        user: ``uid:gid`` of USER.
        volumes: Of VOLUME.
        ports: Of EXPOSE.
        stop_signal: Its name.
        health: The instruction, if there is one.
        entrypoint: Words.
        command: Words of CMD.
    """

    sandbox: Sandbox
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": BASE_PATH})
    folder: str = "/"
    user: str | None = None
    volumes: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    stop_signal: str = "SIGTERM"
    health: Instruction | None = None
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """What was done for one instruction."""

    line: int
    keyword: str
    text: str
    how: str
    seconds: float


class Builder:
    """Carries out the instructions of a Dockerfile.

    Args:
        context: The folder that COPY copies from.
        ignore: What of it is not seen.
        work: An empty folder for the root folders of the stages.
        build_args: Values for ARG.
        timeout: Seconds that one RUN may take.
    """

    def __init__(
        self, context: Path, ignore: Ignore, work: Path, *, build_args: Mapping[str, str], timeout: float = 1800.0
    ) -> None:
        self.context, self.ignore, self.work, self.timeout = context, ignore, work, timeout
        self.build_args = dict(build_args)
        self.steps: list[Step] = []
        self.images: dict[str, Image] = {}

    def build(self, stages: Iterable[Stage]) -> Image:
        """Return the image of the last stage.

        Args:
            stages: In their order.

        Raises:
            RunError: A step failed.
            ConfigError: A step is not understood.
        """
        image = None
        for stage in stages:
            image = self._stage(stage)
            self.images[stage.name] = image
        if image is None:
            raise ConfigError("There is no stage.")
        return image

    def _stage(self, stage: Stage) -> Image:
        if stage.base in self.images:
            raise ConfigError(f"Line {stage.line}: FROM {stage.base}, an earlier stage, is not understood.")
        image = Image(Sandbox(self.work / f"stage-{stage.name}"))
        self._tell(stage.line, "FROM", stage.base, "stood in for by this machine's /usr and Python", 0.0)
        arguments: dict[str, str] = {}
        for one in stage.instructions:
            started = time.perf_counter()
            if one.keyword == "ARG":
                arguments.update(argument_of(one, {**arguments, **image.environment}, self.build_args))
                how = "set" if arguments else "no value"
            else:
                how = self._carry_out(one, image, arguments)
            self._tell(one.line, one.keyword, one.text, how, time.perf_counter() - started)
        return image

    def _carry_out(self, one: Instruction, image: Image, arguments: Mapping[str, str]) -> str:
        known = {**arguments, **image.environment}
        if one.keyword == "RUN":
            return self._run(one, image, arguments)
        if one.keyword == "COPY":
            return self._copy(one, image, known)
        text = one.text if one.keyword in ("CMD", "ENTRYPOINT", "HEALTHCHECK") else substitute(one.text, known)
        if one.keyword == "ENV":
            image.environment.update(assignments_of(one, known))
        elif one.keyword == "WORKDIR":
            image.folder = os.path.join(image.folder, text)
            image.sandbox.inside(image.folder).mkdir(parents=True, exist_ok=True)
        elif one.keyword == "USER":
            image.user = _user_of(text, image.sandbox.inside("/etc/passwd"), one.line)
        elif one.keyword == "VOLUME":
            image.volumes += tuple(one.words if text.startswith("[") and one.words else text.split())
        elif one.keyword == "EXPOSE":
            image.ports += tuple(int(port.split("/")[0]) for port in text.split())
        elif one.keyword == "STOPSIGNAL":
            image.stop_signal = text
        elif one.keyword == "HEALTHCHECK":
            image.health = one
        elif one.keyword in ("ENTRYPOINT", "CMD"):
            words = one.words
            if words is None:
                raise ConfigError(
                    f"Line {one.line}: {one.keyword} as a shell line would not get signals; use a JSON list."
                )
            setattr(image, "entrypoint" if one.keyword == "ENTRYPOINT" else "command", tuple(words))
        return "kept for the start" if one.keyword not in ("ENV", "WORKDIR", "LABEL") else "set"

    def _run(self, one: Instruction, image: Image, arguments: Mapping[str, str]) -> str:
        used = [word for word in _NOT_RUN if word in shlex.split(one.text, comments=False)]
        if used:
            raise ConfigError(f"Line {one.line}: {used[0]} would change the base image, which stands in here; not run.")
        words = one.words or ["/bin/sh", "-c", one.text]
        environment = {"HOME": "/root", **arguments, **image.environment}
        shown: tuple[tuple[Path, str], ...] = ()
        if "pip" in one.text:
            transport, shown = pip_transport()
            environment |= transport
        done = image.sandbox.run(
            words,
            environment=environment,
            folder=image.folder,
            limits=Limits(user=image.user, shown=shown),
            timeout=self.timeout,
        )
        if done.returncode:
            raise RunError(f"Line {one.line}: RUN ended with {done.returncode}:\n{done.stdout[-3000:]}")
        return "run"

    def _copy(self, one: Instruction, image: Image, known: Mapping[str, str]) -> str:
        *sources, target = one.words or shlex.split(substitute(one.text, known))
        if not sources:
            raise ConfigError(f"Line {one.line}: expected COPY source target.")
        place = os.path.join(image.folder, target)
        into = target.endswith("/") or len(sources) > 1
        owner = one.flags.get("chown")
        if "from" in one.flags:
            name = one.flags["from"]
            if name not in self.images:
                raise ConfigError(f"Line {one.line}: there is no stage {name!r}.{did_you_mean(name, self.images)}")
            for source in sources:
                _copy_tree(self.images[name].sandbox.inside(source), image.sandbox.inside(place), into=into)
            number = sum(1 for _ in walk(image.sandbox.inside(place)))
        else:
            number = sum(
                self._copy_seen(source, image.sandbox.inside(place), into=into, line=one.line) for source in sources
            )
        if owner is not None:
            uid, gid = _user_of(owner, image.sandbox.inside("/etc/passwd"), one.line).split(":")
            for entry in [image.sandbox.inside(place), *image.sandbox.inside(place).rglob("*")]:
                os.chown(entry, int(uid), int(gid), follow_symlinks=False)
        return f"{number} files"

    def _copy_seen(self, source: str, target: Path, *, into: bool, line: int) -> int:
        """Copy a file or folder of the context, without what is ignored; return how many files."""
        begin = self.context / source
        files = [begin] if begin.is_file() else sorted(entry for entry in begin.rglob("*") if entry.is_file())
        seen = [file for file in files if not self.ignore.ignores(file.relative_to(self.context).as_posix())]
        if not seen:
            raise RunError(f"Line {line}: the build sees no {source}: it is missing, or .dockerignore keeps it out.")
        for file in seen:
            inside = target / file.name if begin.is_file() and into else target
            inside = inside if begin.is_file() else target / file.relative_to(begin)
            inside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, inside)
        return len(seen)

    def _tell(self, line: int, keyword: str, text: str, how: str, seconds: float) -> None:
        self.steps.append(Step(line, keyword, text, how, seconds))
        print(f"{line:>4} {keyword:<11} {how:<45.45} {seconds:6.1f} s  {text[:70]}", flush=True)


def _copy_tree(source: Path, target: Path, *, into: bool) -> None:
    """Copy a folder's content, or a file, of another stage, with modes and links."""
    if not source.exists():
        raise RunError(f"{source.name} is not in the other stage.")
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target / source.name if into else target)


def _user_of(text: str, passwd: Path, line: int) -> str:
    """Return ``uid:gid`` for what USER or --chown says."""
    name, _, group = text.partition(":")
    if name.isdigit():
        return f"{name}:{group or name}"
    for row in passwd.read_text().splitlines():
        fields = row.split(":")
        if fields[0] == name:
            return f"{fields[2]}:{group or fields[3]}"
    raise ConfigError(f"Line {line}: there is no user {name!r} in the image.")


def inspect_image(image: Image) -> dict[str, object]:
    """Return what stands in an image beside its base, and refuse what must not.

    Args:
        image: The last stage.

    Raises:
        CheckFailedError: It holds a compiler, a program that runs as another user, or files that anybody may write; it
            runs as root; it has no health check or entry point.
    """
    root = image.sandbox.root
    own = [path for name in ("opt", "models", "var", "srv") for path in walk(root / name)]
    compilers = ("gcc", "cc", "g++", "c++", "clang", "make", "cmake", "ld", "cargo", "rustc")
    wrong = [f"{path} is a compiler" for path in own if path.name in compilers and os.access(path, os.X_OK)]
    for path in own:
        mode = path.lstat().st_mode
        if path.is_file() and not path.is_symlink() and mode & 0o6000:
            wrong.append(f"{path} runs as another user (setuid)")
        if path.is_file() and not path.is_symlink() and mode & 0o002:
            wrong.append(f"{path} may be written by anybody")
    if image.user is None or image.user.split(":")[0] == "0":
        wrong.append("it runs as root: there is no USER")
    if image.health is None or not image.entrypoint:
        wrong.append("it has no HEALTHCHECK or no ENTRYPOINT")
    if wrong:
        raise CheckFailedError("The image must not be shipped: " + "; ".join(wrong[:10]).replace(str(root), ""))
    return {"size_mb": round(sum(path.lstat().st_size for path in own) / 1e6), "files": len(own), "user": image.user}


def read_build(dockerfile: Path, build_args: Mapping[str, str]) -> tuple[list[Stage], Ignore]:
    """Return the stages of a Dockerfile and what its build does not see.

    Args:
        dockerfile: ``NAME.dockerignore`` beside it counts before ``.dockerignore`` of the context.
        build_args: Values for ARG.

    Raises:
        ConfigError: The file cannot be read, or there is no ARG for a value.
    """
    try:
        text = dockerfile.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{dockerfile} cannot be read: {error}.") from error
    stages = parse(text, build_args)
    declared = {line.split()[1].partition("=")[0] for line in text.splitlines() if line.startswith("ARG ")}
    for name in build_args:
        if name not in declared:
            raise ConfigError(f"--build_arg {name}: the Dockerfile has no such ARG.{did_you_mean(name, declared)}")
    beside = dockerfile.with_name(dockerfile.name + ".dockerignore")
    return stages, Ignore(beside.read_text(encoding="utf-8") if beside.is_file() else "")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--dockerfile", type=Path, default=ROOT / "deploy/Dockerfile")
    parser.add_argument("--context", type=Path, default=ROOT, help="the folder that is built from")
    parser.add_argument("--build_arg", action="append", default=[], metavar="NAME=VALUE", help="value of an ARG")
    parser.add_argument("--models", nargs="+", type=Path, default=[], help="runs to serve; a tiny one is made without")
    parser.add_argument("--no_server", action="store_true", help="carry out the build, start nothing")
    parser.add_argument("--keep", type=Path, help="a new folder for the stages; by default they are removed")
    parser.add_argument("--output", type=Path, help="a JSON file that gets steps and figures")
    arguments = parser.parse_args()
    build_args = {}
    for pair in arguments.build_arg:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--build_arg {pair!r}: expected NAME=VALUE.")
        build_args[name] = value
    stages, ignore = read_build(arguments.dockerfile, build_args)
    check_machine()
    if arguments.keep is not None and arguments.keep.exists():
        raise ConfigError(f"{arguments.keep} exists; --keep makes a new folder.")
    work = arguments.keep or Path(tempfile.mkdtemp(prefix="nlpladder-image-"))
    work.mkdir(parents=True, exist_ok=True)
    work.chmod(0o755)
    try:
        builder = Builder(arguments.context.resolve(), ignore, work, build_args=build_args)
        image = builder.build(stages)
        found: dict[str, object] = inspect_image(image)
        print(f"built: {found['size_mb']} MB in {found['files']} files over the base image; runs as {found['user']}")
        if not arguments.no_server:
            from dockerfile_server import check_server, tiny_run

            runs = [path.resolve() for path in arguments.models] or [tiny_run(work / "tiny")]
            found |= check_server(image, runs)
        print("not run here: pulling the base image; everything else above was, as told in its line")
        if arguments.output is not None:
            digest = hashlib.sha256(arguments.dockerfile.read_bytes()).hexdigest()
            steps = [step.__dict__ for step in builder.steps]
            text = json.dumps({"dockerfile_sha256": digest, **found, "steps": steps}, indent=2)
            arguments.output.write_text(text + "\n", encoding="utf-8")
    finally:
        if arguments.keep is None:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    run_recipe(main)
    sys.exit(0)
