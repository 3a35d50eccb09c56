"""Instructions of a Dockerfile carried out in empty root folders, and what the last image must not hold."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_checks.parser import Ignore, Instruction, Stage, argument_of, assignments_of, substitute
from dockerfile_checks.sandbox import BASE_PATH, Limits, Sandbox, pip_transport, walk
from nlpladder.errors import CheckFailedError, ConfigError, RunError, did_you_mean

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
