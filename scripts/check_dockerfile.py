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
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dockerfile_checks.building import Builder, inspect_image
from dockerfile_checks.parser import Ignore, Stage, parse
from dockerfile_checks.sandbox import check_machine
from nlpladder.config import run_recipe
from nlpladder.errors import ConfigError, did_you_mean

ROOT = Path(__file__).resolve().parent.parent


def read_build(dockerfile: Path, context: Path, build_args: Mapping[str, str]) -> tuple[list[Stage], Ignore]:
    """Return the stages of a Dockerfile and what its build does not see.

    Args:
        dockerfile: As Docker does, ``NAME.dockerignore`` beside it is read, or else ``.dockerignore`` of the context.
        context: The folder that is built from.
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
    places = (dockerfile.with_name(dockerfile.name + ".dockerignore"), context / ".dockerignore")
    found = next((place for place in places if place.is_file()), None)
    return stages, Ignore("" if found is None else found.read_text(encoding="utf-8"))


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
    stages, ignore = read_build(arguments.dockerfile, arguments.context, build_args)
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
            from dockerfile_checks.server import check_server, tiny_run

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
