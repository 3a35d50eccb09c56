"""The check of deploy/Dockerfile: how it is read, what is refused, and on Linux as root a real build and start."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import REPOSITORY, run_here
from nlpladder.errors import CheckFailedError, ConfigError, RunError

SCRIPTS = REPOSITORY / "scripts"
NAMES = (*(f"dockerfile_checks.{part}" for part in ("parser", "sandbox", "building", "server")), "check_dockerfile")


def modules():
    """Import the scripts as they import each other."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        return [importlib.import_module(name) for name in NAMES]
    finally:
        sys.path.remove(str(SCRIPTS))


parser, sandbox, building, server, check = modules()


def can_build():
    try:
        sandbox.check_machine()
    except RunError:
        return False
    return True


needs_namespaces = pytest.mark.skipif(not can_build(), reason="needs Linux, root and namespaces")


def test_continued_lines_comments_and_flags_are_read_as_docker_reads_them():
    text = (
        "# a comment\nARG IMAGE=python:3.11\nFROM ${IMAGE} AS Build\nRUN one \\\n    # between\n    && two\n\n"
        'HEALTHCHECK --interval=1m30s --retries=2 CMD ["python", "-c", "x = 1"]\n'
        "FROM ${IMAGE}\nCOPY --from=build /a /b\n"
    )
    first, second = parser.parse(text)
    assert (first.name, first.base, second.name) == ("build", "python:3.11", "1")
    run, health = first.instructions
    assert (run.line, run.keyword, run.text) == (4, "RUN", "one && two")
    assert health.flags == {"interval": "1m30s", "retries": "2"}
    assert health.text.startswith("CMD [")
    assert parser.seconds_of(health.flags["interval"]) == 90
    assert second.instructions[0].flags == {"from": "build"}
    assert parser.parse(text, {"IMAGE": "other"})[0].base == "other"


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("FROM a\nCPY x y\n", "Did you mean 'COPY'"),
        ("FROM a\nRUN --mount=type=cache pip\n", "--mount is not understood"),
        ("FROM a\nRUN cat <<EOF\n", "here-documents"),
        ("RUN x\n", "before the first FROM"),
        ("# nothing\n", "no FROM"),
        ("FROM a b\n", "expected FROM image"),
        ("FROM a\nUSER\n", "says nothing"),
    ],
)
def test_what_is_not_understood_is_an_error_with_its_line(text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        parser.parse(text)


def test_a_broken_exec_form_is_an_error():
    one = parser.parse("FROM a\nCMD ['x']\n")[0].instructions[0]
    with pytest.raises(ConfigError, match="Line 2: CMD begins like a JSON list"):
        _ = one.words


@pytest.mark.parametrize(
    "text, expected",
    [
        ("$A/${B}", "1/"), ("${B:-2}", "2"), ("${A:-2}", "1"), ("${A:+x}", "x"), ("${B:+x}", ""), (r"\$A", "$A"),
        ("a$Ab", "a"),
    ],
)  # fmt: skip
def test_variables_are_filled_in(text, expected):
    assert parser.substitute(text, {"A": "1"}) == expected


@given(st.dictionaries(st.from_regex(r"[A-Z]{1,5}", fullmatch=True), st.from_regex(r"[a-z/ .]{0,9}", fullmatch=True)))
def test_env_gives_back_what_was_set(values):
    line = " ".join(f'{name}="{value}"' for name, value in values.items())
    if values:
        one = parser.Instruction(1, "ENV", line)
        assert parser.assignments_of(one, {}) == values


def test_a_value_of_the_builder_goes_before_the_default_of_an_arg():
    one = parser.Instruction(1, "ARG", 'WHERE="a b"')
    assert parser.argument_of(one, {}, {}) == {"WHERE": "a b"}
    assert parser.argument_of(one, {}, {"WHERE": ""}) == {"WHERE": ""}
    assert parser.argument_of(parser.Instruction(1, "ARG", "WHERE"), {}, {}) == {}


@pytest.mark.parametrize("text", ["30", "s", "3d", "1s2"])
def test_what_is_no_duration_is_an_error(text):
    with pytest.raises(ConfigError, match="no duration"):
        parser.seconds_of(text)


def test_the_last_pattern_that_fits_decides():
    ignore = parser.Ignore("# c\n*\n!src\n!deploy/a.py\n**/__pycache__\n**/*.pyc\n")
    seen = ["src/a.py", "src/b/c.py", "deploy/a.py"]
    ignored = [
        "README.md",
        "deploy/b.py",
        "src/x.pyc",
        "src/b/__pycache__/y.txt",
        ".git/config",
        "outputs/run/model.safetensors",
    ]
    assert [path for path in seen + ignored if not ignore.ignores(path)] == seen


def test_an_unknown_build_arg_and_a_missing_file_are_sentences(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'TORCH_INDEX'"):
        check.read_build(REPOSITORY / "deploy/Dockerfile", REPOSITORY, {"TORCH_INDX": ""})
    with pytest.raises(ConfigError, match="cannot be read"):
        check.read_build(tmp_path / "Dockerfile", tmp_path, {})
    result = run_here("scripts/check_dockerfile.py", "--build_arg", "x")
    assert result.returncode == 2
    assert "expected NAME=VALUE" in result.stderr


def test_the_ignore_file_beside_the_dockerfile_counts_before_that_of_the_context(tmp_path):
    (tmp_path / "deploy").mkdir()
    dockerfile = tmp_path / "deploy/Dockerfile"
    dockerfile.write_text("FROM a\n")
    wanted = {"a.txt": False, "b.txt": False}
    for place, ignored in (
        (None, ""),
        (tmp_path / ".dockerignore", "a.txt"),
        (Path(f"{dockerfile}.dockerignore"), "b.txt"),
    ):
        if place is not None:
            place.write_text(f"{ignored}\n")
        _, ignore = check.read_build(dockerfile, tmp_path, {})
        assert {name: ignore.ignores(name) for name in wanted} == {**wanted, **({ignored: True} if ignored else {})}


def builder(tmp_path, **settings):
    context = tmp_path / "context"
    context.mkdir()
    (context / "kept.txt").write_text("kept")
    (context / "secret.txt").write_text("secret")
    return building.Builder(context, parser.Ignore("secret.txt\n"), tmp_path / "work", build_args={}, **settings)


def test_what_changes_the_base_image_is_refused_and_not_skipped(tmp_path):
    with pytest.raises(ConfigError, match="Line 2: apt-get would change the base image"):
        builder(tmp_path).build(parser.parse("FROM a\nRUN apt-get install x\n"))


@needs_namespaces
def test_steps_run_in_a_root_folder_of_their_own(tmp_path):
    text = """
        FROM base AS build
        ARG WORD=hello
        ENV PLACE=/opt/made
        WORKDIR /opt/made
        RUN echo "$WORD" > file && test ! -e /work && ! gcc --version
        RUN python -c "import sys; assert sys.prefix == '/usr/local'"
        COPY kept.txt ./
        FROM base
        RUN groupadd --gid 4321 one && useradd --uid 4321 --gid 4321 --no-create-home one
        COPY --from=build --chown=one /opt/made /opt/taken
        USER one
    """
    image = builder(tmp_path).build(parser.parse(text))
    taken = image.sandbox.inside("/opt/taken")
    assert (taken / "file").read_text() == "hello\n"
    assert (taken / "kept.txt").read_text() == "kept"
    assert (taken / "file").stat().st_uid == 4321
    assert image.user == "4321:4321"
    held = sandbox.Limits(user=image.user, read_only=True, volumes=("/tmp",), network=False)
    words = [
        "sh",
        "-c",
        "id -u; touch /tmp/here && ! touch /opt/taken/no 2>/dev/null && ls /sys/class/net 2>/dev/null; env",
    ]
    done = image.sandbox.run(words, environment={"PATH": sandbox.BASE_PATH}, folder="/", limits=held, timeout=60)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("4321\n")
    assert "HOME" not in done.stdout, "nothing of this process' environment comes in"
    assert not (image.sandbox.inside("/tmp") / "here").exists()


@needs_namespaces
def test_what_the_build_does_not_see_and_a_step_that_fails_are_told_with_their_line(tmp_path):
    one = builder(tmp_path)
    with pytest.raises(RunError, match="Line 2: the build sees no secret.txt"):
        one.build(parser.parse("FROM a AS one\nCOPY secret.txt /x\n"))
    with pytest.raises(RunError, match="(?s)Line 2: RUN ended with 3:.*told"):
        one.build(parser.parse("FROM a AS two\nRUN echo told; exit 3\n"))
    with pytest.raises(ConfigError, match="no stage 'three'"):
        one.build(parser.parse("FROM a AS four\nCOPY --from=three /x /y\n"))
    with pytest.raises(ConfigError, match="no user 'ada'"):
        one.build(parser.parse("FROM a AS five\nUSER ada\n"))
    with pytest.raises(ConfigError, match="would not get signals"):
        one.build(parser.parse("FROM a AS six\nCMD sleep 1\n"))


@needs_namespaces
def test_an_image_that_must_not_be_shipped_is_refused(tmp_path):
    one = builder(tmp_path)
    whole = '\nHEALTHCHECK CMD ["true"]\nENTRYPOINT ["true"]\n'
    for name, text, sentence in (
        ("a", "RUN true" + whole, "runs as root"),
        ("b", "RUN cp /bin/true /opt/gcc\nUSER 5" + whole, "/opt/gcc is a compiler"),
        ("c", "RUN cp /bin/true /opt/x && chmod 4755 /opt/x\nUSER 5" + whole, "setuid"),
        ("d", "RUN touch /opt/x && chmod 666 /opt/x\nUSER 5" + whole, "written by anybody"),
        ("e", "USER 5", "no HEALTHCHECK"),
    ):
        image = one.build(parser.parse(f"FROM base AS {name}\n{text}\n"))
        with pytest.raises(CheckFailedError, match=sentence):
            building.inspect_image(image)
    image = one.build(parser.parse(f"FROM base AS f\nRUN touch /opt/fine\nUSER 5{whole}"))
    assert building.inspect_image(image) == {"size_mb": 0, "files": 1, "user": "5:5"}


SERVER = """
import http.server, json, signal, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        listed = {"models": [{"name": "m0", "kind": "classifier", "tasks": ["classify"]}]}
        self.reply(listed if self.path == "/models" else {})
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.reply({})
    def reply(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
    def log_message(self, *arguments):
        pass
signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(sys.argv[1])))
http.server.HTTPServer(("127.0.0.1", 8000), Answer).serve_forever()
"""


@pytest.mark.slow
@needs_namespaces
def test_a_server_is_started_asked_and_ended_and_its_exit_code_counts(tmp_path, capsys):
    one = builder(tmp_path)
    (one.context / "server.py").write_text(SERVER)
    run = tmp_path / "run"
    run.mkdir()
    text = """
        FROM base AS {name}
        COPY server.py /opt/
        VOLUME ["/tmp"]
        EXPOSE 8000
        USER 4321
        HEALTHCHECK --timeout=5s CMD ["python", "-I", "-S", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health')"]
        ENTRYPOINT ["python", "/opt/server.py", "{code}"]
    """
    found = server.check_server(one.build(parser.parse(text.format(name="good", code=0))), [run])
    assert found["exit_code"] == 0
    assert found["answers"] == {"m0 classify": 200}
    with pytest.raises(CheckFailedError, match="ended with 3 after SIGTERM"):
        server.check_server(one.build(parser.parse(text.format(name="bad", code=3))), [run])
    broken = text.format(name="broken", code=0).replace("/opt/server.py", "/opt/none.py")
    with pytest.raises(CheckFailedError, match="(?s)instead of starting.*none.py"):
        server.check_server(one.build(parser.parse(broken)), [run])
    always = text.format(name="always", code=0).replace("r.urlopen", "print")
    with pytest.raises(CheckFailedError, match="succeeds although no server runs"):
        server.check_server(one.build(parser.parse(always)), [run])
    capsys.readouterr()


def test_the_sandbox_leaves_no_mount_behind():
    mounts = Path("/proc/self/mounts")
    assert not mounts.exists() or "stage-" not in mounts.read_text()


def test_without_namespaces_it_is_told_what_is_missing(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "setpriv" else f"/bin/{name}")
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(RunError, match="setpriv is missing"):
        sandbox.check_machine()
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RunError, match="start it with sudo"):
        sandbox.check_machine()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    refused = subprocess.CompletedProcess([], 1, "", "unshare failed")
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **settings: refused)
    with pytest.raises(RunError, match="no namespaces here \\(unshare failed\\)"):
        sandbox.check_machine()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(RunError, match="docker build"):
        sandbox.check_machine()
