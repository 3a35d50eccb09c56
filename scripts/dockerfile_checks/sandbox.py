"""An image's root folder and processes inside it, without a Docker engine: namespaces, chroot and setpriv of Linux.

The base image is stood in for by this machine: its /usr, its C library and its Python are shown read-only, with an /etc
of three lines, and an otherwise empty file system. What a step writes lands in the root folder and nowhere else.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlpladder.errors import RunError

#: PATH in the official Python images.
BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
_GROUP = "root:x:0:\nnogroup:x:65534:\n"
#: Of this machine's /etc: what the C library looks up. The certificates are shown, too.
_ETC = ("nsswitch.conf", "resolv.conf", "hosts", "ld.so.cache", "login.defs", "localtime")
_DEVICES = ("null", "zero", "full", "random", "urandom")
#: What this machine may have and the slim image has not: a step that needs it must fail here, too.
_HIDDEN = ("gcc", "g++", "cc", "c++", "cpp", "clang", "ld", "as", "make", "cmake", "git", "curl", "wget", "cargo")
_LOOPBACK = (
    "import fcntl,socket,struct;"
    "fcntl.ioctl(socket.socket(),0x8914,struct.pack('16sh14x',b'lo',0x41))"  # SIOCSIFFLAGS: up and running
)


@dataclass(frozen=True)
class Limits:
    """How a process is held.

    Attributes:
        user: ``uid:gid``; None for root.
        read_only: Whether it may write nowhere but in `volumes`.
        volumes: Folders that are empty file systems of their own, owned as in the image.
        network: Whether it sees this machine's network; else nothing but a loopback of its own.
        shown: Folders of this machine that are shown read-only: source and path inside.
    """

    user: str | None = None
    read_only: bool = False
    volumes: tuple[str, ...] = ()
    network: bool = True
    shown: tuple[tuple[Path, str], ...] = ()


class Sandbox:
    """The root folder of one stage.

    Args:
        root: Is made, with what the base image stands for.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("etc", "tmp", "root", "opt", "var", "proc", "dev/shm", "usr", "srv", "run"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "tmp").chmod(0o1777)
        for name in ("bin", "sbin", "lib", "lib64"):
            if os.path.islink(f"/{name}"):
                os.symlink(os.readlink(f"/{name}"), root / name)
            elif os.path.isdir(f"/{name}"):
                (root / name).mkdir()
        (root / "etc/passwd").write_text(_PASSWD)
        (root / "etc/group").write_text(_GROUP)
        for name in _ETC:
            if Path("/etc", name).is_file():
                shutil.copyfile(f"/etc/{name}", root / "etc" / name)
        for name in _DEVICES:
            (root / "dev" / name).touch()
        # In the official images Python lies in /usr/local, with pip as its only package.
        self._programs, self._packages = (root.with_name(root.name + end) for end in (".programs", ".packages"))
        self._programs.mkdir()
        (self._packages / "pip").mkdir(parents=True)
        shutil.copy2(_base_python(), self._programs / _base_python().name)
        for name in ("python", "python3"):
            os.symlink(_base_python().name, self._programs / name)

    def inside(self, path: str) -> Path:
        """Return where a path of the image lies here.

        Args:
            path: Absolute.
        """
        return self.root / path.lstrip("/")

    def command(
        self, words: Sequence[str], *, environment: Mapping[str, str], folder: str, limits: Limits
    ) -> list[str]:
        """Return the words that start a process inside; no shell or parent stays between, so its id is the process's.

        Args:
            words: To be run.
            environment: All that it sees.
            folder: It starts in.
            limits: How it is held.
        """
        lines = ["set -e", *self._mounts(limits)]
        if not limits.network:
            lines.append(shlex.join([sys.executable, "-I", "-S", "-c", _LOOPBACK]))
        drop: list[str] = []
        if limits.user is not None:
            uid, _, gid = limits.user.partition(":")
            drop = ["setpriv", f"--reuid={uid}", f"--regid={gid or uid}", "--clear-groups", "--no-new-privs"]
            drop += ["--bounding-set=-all", "--inh-caps=-all"]
        settings = [f"{name}={value}" for name, value in environment.items()]
        # The programs are looked up with the PATH of the image, whatever PATH this process has.
        start = ["chroot", str(self.root), "/usr/bin/env", "-i", *settings, "/bin/sh", "-c"]
        start += ['cd "$1"; shift; exec "$@"', "sh", folder, *drop, *words]
        lines.append("exec " + shlex.join(start))
        unshare = ["unshare", "--mount", *([] if limits.network else ["--net"])]
        return [*unshare, "/bin/sh", "-c", "\n".join(lines)]

    def run(
        self,
        words: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: str,
        limits: Limits,
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        """Run a process inside to its end.

        Args:
            words: To be run.
            environment: All that it sees.
            folder: It starts in.
            limits: How it is held.
            timeout: Seconds.

        Raises:
            RunError: It took longer.
        """
        command = self.command(words, environment=environment, folder=folder, limits=limits)
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                output, _ = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired as error:
                os.killpg(process.pid, 9)
                raise RunError(f"{shlex.join(words)[:200]} was not done after {timeout:.0f} s.") from error
        return subprocess.CompletedProcess(list(words), process.returncode, output, "")

    def _mounts(self, limits: Limits) -> list[str]:
        """Return shell lines that put the stand-in of the base image, volumes and shown folders into place."""
        root = str(self.root)
        for path in (f"{_base_prefix()}/lib", *(path for _, path in limits.shown), *limits.volumes):
            self.inside(path).mkdir(parents=True, exist_ok=True)
        lines = [_line("mount", "--bind", root, root)]
        if limits.read_only:
            lines.append(_line("mount", "-o", "remount,bind,ro", root))
        lines += _bind(Path("/usr"), root + "/usr")
        lines += [
            line
            for name in ("bin", "sbin", "lib", "lib64")
            if os.path.isdir(f"/{name}") and not os.path.islink(f"/{name}")
            for line in _bind(Path("/", name), f"{root}/{name}")
        ]
        for path in sorted(
            {os.path.realpath(f"/usr/bin/{name}") for name in _HIDDEN if os.path.exists(f"/usr/bin/{name}")}
        ):
            if path.startswith("/usr/"):
                lines.append(_line("mount", "--bind", "/dev/null", root + path))
        if _base_prefix() != Path("/usr"):
            packages = f"lib/{_base_python().name}/site-packages"
            lines += _bind(_base_prefix(), root + "/usr/local")
            lines += _bind(_base_prefix() / "lib", f"{root}{_base_prefix()}/lib")  # where it looks for its own library
            lines += _bind(self._packages, f"{root}/usr/local/{packages}")
            lines += _bind(_base_prefix() / packages / "pip", f"{root}/usr/local/{packages}/pip")
        lines += _bind(self._programs, root + "/usr/local/bin")
        for folder in ("/etc/ssl", "/etc/alternatives"):
            if os.path.isdir(folder):
                self.inside(folder).mkdir(exist_ok=True)
                lines += _bind(Path(folder), root + folder)
        lines += [_line("mount", "--bind", f"/dev/{name}", f"{root}/dev/{name}") for name in _DEVICES]
        lines.append(_line("mount", "-t", "tmpfs", "-o", "mode=1777", "none", f"{root}/dev/shm"))
        lines.append(_line("mount", "-t", "proc", "none", f"{root}/proc"))
        for path in limits.volumes:
            found = self.inside(path).stat()
            options = f"uid={found.st_uid},gid={found.st_gid},mode={found.st_mode & 0o7777:o}"
            lines.append(_line("mount", "-t", "tmpfs", "-o", options, "none", root + path))
        for source, path in limits.shown:
            lines += _bind(source, root + path)
        return lines


def check_machine() -> None:
    """Make sure that this machine can hold processes in namespaces.

    Raises:
        RunError: It cannot; says what is missing.
    """
    how = "Where a Docker engine is at hand, `docker build -f deploy/Dockerfile .` is the better check anyway."
    if not sys.platform.startswith("linux"):
        raise RunError(f"The steps are run in namespaces of Linux, which this machine has not. {how}")
    missing = [name for name in ("unshare", "nsenter", "chroot", "setpriv") if shutil.which(name) is None]
    if missing:
        raise RunError(f"{', '.join(missing)} is missing (util-linux and coreutils have it). {how}")
    if os.geteuid() != 0:
        raise RunError(f"Mounting and dropping to the image's user take root: start it with sudo. {how}")
    tried = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise RunError(f"Root may make no namespaces here ({tried.stderr.strip()}). {how}")


def pip_transport() -> tuple[dict[str, str], tuple[tuple[Path, str], ...]]:
    """Return how pip reaches its packages on this machine: variables, and folders that they name.

    It is no part of the image: behind a proxy or beside a mirror the steps could not be run otherwise.
    """
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    found = {name: os.environ[name] for name in (*names, *(name.lower() for name in names)) if name in os.environ}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        scope, _, name = key.partition(".")
        if scope in ("global", "install", ":env:") and name:
            words = value.strip().strip("'\"").replace("\\n", " ")
            found["PIP_" + name.upper().replace("-", "_")] = words
    shown = []
    for value in found.values():
        for word in value.split():
            path = word.removeprefix("file://").rstrip("/").removesuffix("/simple")  # its pages name files beside it
            if path.startswith("/") and os.path.isdir(path) and not path.startswith("/etc/"):
                shown.append((Path(path), path))
    return found, tuple(dict.fromkeys(shown))


def walk(folder: Path) -> Iterable[Path]:
    """Yield every file and link below a folder.

    Args:
        folder: Links to folders are yielded and not entered.
    """
    for parent, folders, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)
        yield from (Path(parent, name) for name in folders if os.path.islink(os.path.join(parent, name)))


def _base_prefix() -> Path:
    return Path(sys.base_prefix).resolve()


def _base_python() -> Path:
    return _base_prefix() / "bin" / f"python3.{sys.version_info.minor}"


def _bind(source: Path, target: str) -> list[str]:
    return [_line("mount", "--bind", str(source), target), _line("mount", "-o", "remount,bind,ro", target)]


def _line(*words: str) -> str:
    return shlex.join(words)
