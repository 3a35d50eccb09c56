"""``python -m nlpladder``."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from helpers import REPOSITORY
from nlpladder import __main__ as command_line
from nlpladder.__main__ import main, serve_options
from nlpladder.config import run_recipe
from nlpladder.errors import ConfigError
from nlpladder.serving.answers import ANSWERS


def test_models_and_options_may_stand_in_any_order():
    arguments = ["a", "--port", "0", "b=c", "--drift", "yes", "d", "--log_texts=true", "--workers", "2", "e"]
    options = serve_options(arguments)
    assert options.models == ["a", "b=c", "d", "e"]
    assert (options.port, options.drift, options.log_texts, options.workers) == (0, True, True, 2)
    assert serve_options(["--drift", "false", "a"]).drift is False
    assert serve_options(["a", "--log_texts"]).log_texts is True
    assert serve_options(["a", "--log_texts", "--port", "0"]).log_texts is True
    assert serve_options(["--models", "a,b"]).models == ["a", "b"]


def test_the_word_behind_an_option_is_its_value_and_no_model():
    with pytest.raises(ConfigError, match=r"--drift is 'maybe', expected true or false.*--drift true maybe"):
        serve_options(["a", "--drift", "maybe"])
    with pytest.raises(ConfigError, match="Did you mean 'true'"):
        serve_options(["a", "--log_texts", "tru"])
    with pytest.raises(ConfigError, match="expected true or false"):
        serve_options(["a", "--drift=maybe"])


def test_options_of_drift_are_named_as_they_are_typed():
    for name, value in (("drift_window", "20"), ("drift_alarm_after", "0"), ("drift_calm_after", "0")):
        with pytest.raises(ConfigError, match=f"--{name} is {value}, expected a number from"):
            main(["serve", "a", f"--{name}", value])


def test_a_file_of_options_is_read_and_the_command_line_wins(tmp_path):
    file = tmp_path / "serve.yaml"
    file.write_text("models: [a, b]\nport: 9000\nqueue_size: 7\n", encoding="utf-8")
    options = serve_options(["--config", str(file), "--port", "9001"])
    assert (options.models, options.port, options.queue_size) == (["a", "b"], 9001, 7)
    assert serve_options(["c", f"--config={file}"]).models == ["a", "b", "c"], "none is left out silently"
    with pytest.raises(ConfigError, match="--config needs a file"):
        serve_options(["a", "--config", "--port", "3"])
    with pytest.raises(ConfigError, match="needs a file"):
        serve_options(["a", "--config"])
    with pytest.raises(ConfigError, match="There is no config file"):
        serve_options(["--config", str(tmp_path / "none.yaml")])


def test_mistakes_are_sentences():
    with pytest.raises(ConfigError, match="Did you mean 'queue_size'"):
        serve_options(["a", "--queue-size", "3"])
    with pytest.raises(ConfigError, match="expected a whole number"):
        serve_options(["a", "--port", "http"])
    with pytest.raises(ConfigError, match="Did you mean 'serve'"):
        main(["serv", "a"])
    with pytest.raises(ConfigError, match="at least one model"):
        main(["serve"])
    with pytest.raises(ConfigError, match="--api_keys"):
        main(["serve", "a", "--host", "0.0.0.0"])
    with pytest.raises(ConfigError, match="--port is 70000"):
        main(["serve", "a", "--port", "70000"])


def test_help_lists_commands_and_options(capsys):
    main([])
    said = capsys.readouterr().out
    assert "python -m nlpladder serve RUN" in said
    assert "`" not in said
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "--max_batch_items" in said
    assert said.startswith("usage: python -m nlpladder serve RUN [RUN ...] [--config FILE] [--key value ...]\n")
    assert "at least 50" in said
    assert "positional" not in said
    assert "`" not in said


def test_an_interruption_before_the_server_is_up_says_so(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("nlpladder.serving.server.serve", interrupted)
    with pytest.raises(SystemExit) as ended:
        run_recipe(lambda: main(["serve", "a"]))
    assert ended.value.code == 130
    assert "nothing was served" in capsys.readouterr().err


def test_a_missing_extra_is_told_with_the_command_that_installs_it():
    code = (
        "import sys; sys.modules['fastapi'] = None\n"
        "from nlpladder.config import run_recipe; from nlpladder.__main__ import main\n"
        "run_recipe(lambda: main(['serve', 'a']))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert result.returncode == 2
    assert "pip install 'nlpladder[serve]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_command_imports_nothing_heavy_before_it_is_needed():
    heavy = ("torch", "fastapi", "pydantic", "numpy")
    code = f"import nlpladder.__main__, sys; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "model, said",
    [
        ("outputs", "holds no config.json"),
        ("outputs/nothere", "There is no model folder 'outputs/nothere' here. outputs holds: lstm."),
        ("outputs/notes.txt", "is a file"),
    ],
)
def test_what_is_no_folder_of_a_model_is_told_before_the_port_is_bound(model, said, tmp_path):
    (tmp_path / "outputs" / "lstm").mkdir(parents=True)
    (tmp_path / "outputs" / "notes.txt").write_text("no model")
    result = subprocess.run(
        [sys.executable, "-m", "nlpladder", "serve", model, "--port", "0"],
        capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert "listening" not in result.stdout
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == ["failed", "stopped"]


#: A whole server in a process of its own, but for the models: its pool answers ``wait`` once the server is ending.
PROGRAM = """
import nlpladder.serving.server as server
from nlpladder.__main__ import main
from nlpladder.config import run_recipe
from serving.test_server import EndingPool
server.ModelPool = lambda *_, **__: EndingPool()
run_recipe(lambda: main(["serve", "senti=x", "--port", "0", "--drift", "false"]))
"""


def test_a_server_that_is_told_to_end_answers_what_it_accepted_and_exits_with_0():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "tests"), str(REPOSITORY / "src")])}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        lines = (json.loads(line) for line in process.stdout)
        port = next(line["port"] for line in lines if line["event"] == "listening")
        found = []

        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            body, kind = json.dumps({"texts": ["wait"]}), {"Content-Type": "application/json"}
            connection.request("POST", "/classify", body, kind)
            answer = connection.getresponse()
            found.append((answer.status, json.loads(answer.read())))

        asking = threading.Thread(target=ask)
        asking.start()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(1000):  # until the request was accepted
            connection.request("GET", "/models")
            if any(model["waiting"] for model in json.loads(connection.getresponse().read())["models"]):
                break
        process.send_signal(signal.SIGTERM)
        asking.join(60)
        said, errors = process.communicate(timeout=60)
        assert found[0][0] == 200
        assert found[0][1]["items"][0]["label"]
        assert process.returncode == 0, errors
        events = [json.loads(line) for line in said.splitlines()]
        assert events[-1]["event"] == "stopped"
        assert events[-1]["finished"] is True
        assert errors == ""
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_real_models_are_served_and_ended(served_folder):
    """The whole way once: two models, each in its process, asked over a socket, ended by SIGTERM."""
    runs = [f"linear={served_folder('linear')}", f"writer={served_folder('lstm_lm')}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nlpladder", "serve", *runs, "--port", "0", "--local_files_only", "true"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    try:
        lines = (json.loads(line) for line in process.stdout)
        port = next(line["port"] for line in lines if line["event"] == "listening")
        assert next(line for line in lines if line["event"] in ("ready", "failed"))["event"] == "ready"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

        def ask(path, body):
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

        status, body = ask("/classify", {"texts": ["the film was really good", "a bit dull"]})
        assert status == 200, body
        assert [item["index"] for item in json.loads(body)["items"]] == [0, 1]
        ANSWERS["classify"].model_validate(json.loads(body))
        for task, asked in (("score", {"texts": ["the film"], "tokens": True}), ("generate", {"prompt": "the film"})):
            status, body = ask(f"/{task}", asked)
            assert status == 200, body
            ANSWERS[task].model_validate(json.loads(body))
        whole = json.loads(body)["text"]
        status, body = ask("/generate", {"prompt": "the film", "stream": True})
        pieces = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: ")]
        assert "".join(piece.get("text", "") for piece in pieces) == whole  # the same seed, the same text
        assert ask("/embed", {"texts": ["film"]})[0] == 404
        process.send_signal(signal.SIGTERM)
        said, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert json.loads(said.splitlines()[-1])["finished"] is True
    finally:
        process.kill()
        process.communicate()


def test_the_commands_are_those_that_help_lists():
    assert list(command_line._COMMANDS) == ["serve"]
