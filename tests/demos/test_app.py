"""The whole demo: what it offers to programs, and what it keeps to itself. Each rule of its safety is a test."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import app
from helpers import REPOSITORY
from shell.demo import telling
from shell.limits import DemoError
from shell.options import DemoOptions


@pytest.fixture(scope="module")
def client(live_demo):
    gradio_client = pytest.importorskip("gradio_client")
    return gradio_client.Client(live_demo.url, verbose=False)


def public_functions(live_demo):
    return {fn.api_name: fn for fn in live_demo.page.fns.values() if fn.api_visibility == "public"}


def test_every_tab_has_an_endpoint_and_every_endpoint_says_what_it_is(live_demo):
    functions = public_functions(live_demo)
    assert len(functions) >= len(app.TABS)
    for name, function in functions.items():
        text = inspect.getdoc(function.fn) or ""
        assert text, name
        parameters = list(inspect.signature(function.fn).parameters.values())
        assert not parameters or "Args:" in text, name
        for parameter in parameters:
            assert f"{parameter.name}:" in text, (name, parameter.name)
            assert parameter.annotation is not inspect.Parameter.empty, (name, parameter.name)


def test_the_readme_of_the_demo_names_every_endpoint(live_demo):
    text = (REPOSITORY / "demos" / "README.md").read_text(encoding="utf-8")
    for name in public_functions(live_demo):
        assert f"/{name}" in text, name


def test_a_program_lists_the_models(client):
    table = client.predict(api_name="/models")[0]
    assert "bilstm" in [row[0] for row in table["data"]]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/proc/self/environ",
        str(REPOSITORY / "README.md"),
        str(Path.home() / ".bashrc"),
        "app.py",
        "../app.py",
    ],
)
def test_no_file_of_the_machine_is_given_away(live_demo, path):
    answer = httpx.get(f"{live_demo.url}/gradio_api/file={path}")
    assert answer.status_code in (403, 404)


def test_a_model_file_cannot_be_downloaded(live_demo):
    weights = next(live_demo.models_dir.rglob("model.safetensors"))
    assert httpx.get(f"{live_demo.url}/gradio_api/file={weights}").status_code in (403, 404)


def test_a_file_that_is_too_large_is_refused(live_demo):
    answer = httpx.post(f"{live_demo.url}/gradio_api/upload", files={"files": ("x.csv", b"a" * 1_500_000)})
    assert answer.status_code == 413


def test_a_page_of_elsewhere_cannot_use_the_demo(live_demo):
    answer = httpx.post(
        f"{live_demo.url}/gradio_api/queue/join",
        json={"data": [], "fn_index": 0, "session_hash": "x"},
        headers={"Origin": "http://evil.example", "Host": live_demo.url.partition("//")[2]},
    )
    assert "access-control-allow-origin" not in answer.headers or answer.headers["access-control-allow-origin"] not in (
        "*",
        "http://evil.example",
    )


def test_what_is_launched_keeps_to_this_machine(live_demo):
    arguments = app.launch_arguments(DemoOptions())
    assert arguments["server_name"] == "127.0.0.1"
    assert arguments["share"] is False
    assert arguments["show_error"] is False
    assert arguments["run_history"] is False
    assert arguments["enable_monitoring"] is False
    assert str(REPOSITORY) in arguments["blocked_paths"]
    assert live_demo.page.analytics_enabled is False


def test_the_page_names_no_other_machine(live_demo):
    for path in ("/", "/config", "/theme.css"):
        text = httpx.get(f"{live_demo.url}{path}").text
        for other in ("googleapis", "gstatic", "cdnjs", "cdn.jsdelivr", "unpkg"):
            assert other not in text, (path, other)


def test_an_error_is_a_sentence_and_its_quotes_are_text():
    @telling
    def handler():
        raise DemoError("There is no <b>model</b><!-- --> here, but 'a' & 'b'.")

    import gradio as gr

    with pytest.raises(gr.Error, match="b>model") as caught:
        handler()
    assert caught.value.print_exception is False
    # Programs get it as it is, pages show it as HTML.
    assert "'a' & 'b'" in caught.value.message
    assert not re.search("<[A-Za-z/!?]", caught.value.message)


def test_an_error_in_a_stream_is_told_after_what_was_streamed():
    import gradio as gr

    @telling
    def handler():
        yield "one"
        raise DemoError("No more.")

    assert inspect.isgeneratorfunction(handler)
    stream = handler()
    assert next(stream) == "one"
    with pytest.raises(gr.Error, match="No more"):
        next(stream)


def test_programming_errors_are_not_dressed_up():
    @telling
    def handler():
        raise KeyError("x")

    with pytest.raises(KeyError):
        handler()


@pytest.mark.slow
def test_hostile_payloads_end_in_answers_or_sentences(live_demo):
    """The same as `scripts/check_demo.py --check fuzz`, which sends 1,000 to each endpoint, with a few."""
    script = REPOSITORY / "scripts" / "check_demo.py"
    done = subprocess.run(
        [sys.executable, str(script), "--url", live_demo.url, "--examples", "5", "--clients", "4"],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "The demo answers." in done.stdout


def test_settings_are_kept_in_the_browser_alone(live_demo):
    config = json.loads(httpx.get(f"{live_demo.url}/config").text)
    savers = [each for each in config["dependencies"] if each["js"] and "settings" in str(each["js"])]
    assert savers
    assert not any(each["backend_fn"] for each in savers)


def test_the_program_of_the_readme_runs(live_demo):
    text = (REPOSITORY / "demos" / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert "http://127.0.0.1:7860" in program
    found = {}
    exec(program.replace("http://127.0.0.1:7860", live_demo.url), found)
    assert len(found["models"]) > 10
