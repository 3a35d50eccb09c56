"""deploy/: what the files say agrees with the server, the package and each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from helpers import REPOSITORY
from nlpladder.config import parse
from nlpladder.serving.options import ServeOptions

DEPLOY = REPOSITORY / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
#: Words of PromQL and of Grafana that stand where names of series could.
SUFFIXES = ("_bucket", "_sum", "_count", "_total")


def served_series():
    """Return the names under which the server's registry shows its series."""
    from nlpladder.serving.metrics import ServerMetrics

    names = set()
    for family in ServerMetrics().registry.collect():
        if not family.name.startswith("nlpladder_"):
            continue
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        names |= {family.name + end for end in ends}
    return names


def served_labels():
    from nlpladder.serving.metrics import ServerMetrics

    metrics = ServerMetrics()
    return {
        one._name: set(one._labelnames) for one in vars(metrics).values() if hasattr(one, "_labelnames")
    }  # fmt: skip


def expressions():
    found = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return found + [(rule["alert"], rule["expr"]) for group in rules for rule in group["rules"]]


@pytest.mark.parametrize("title, expression", expressions())
def test_every_series_of_a_panel_or_an_alert_is_served_and_has_the_labels(title, expression):
    names = re.findall(r"\bnlpladder_\w+", expression)
    assert names or expression.startswith("up{"), title
    series, labels = served_series(), served_labels()
    for name in names:
        assert name in series, f"{title}: the server shows no {name}"
        begin = next(
            label for label in labels if name.startswith(label) and name.removeprefix(label) in ("", *SUFFIXES)
        )
        for asked in re.findall(rf"{name}\{{([^}}]*)\}}", expression):
            for label in re.findall(r"(\w+)\s*(?:=~|!=|=|!~)", asked):
                assert label in labels[begin], f"{title}: {name} has no label {label}"
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        for label in (one.strip() for one in grouped.split(",")):
            assert label == "le" or any(label in known for known in labels.values()), f"{title}: by ({label})"
    assert expression.count("(") == expression.count(")")
    assert expression.count("{") == expression.count("}")


def test_a_quantile_is_taken_of_a_histogram_by_its_bounds():
    quantiles = [expression for _, expression in expressions() if "histogram_quantile" in expression]
    assert len(quantiles) > 5
    for expression in quantiles:
        assert "_bucket{" in expression
        assert "sum by (le," in expression


def test_all_that_the_server_measures_is_shown():
    shown = " ".join(expression for _, expression in expressions())
    for name in served_series():
        begin = re.sub(r"_(bucket|sum|count)$", "", name)
        assert begin in shown, f"no panel shows {begin}"


def test_the_dashboard_has_what_grafana_needs():
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time", "refresh"} <= set(DASHBOARD)
    assert "id" not in DASHBOARD, "a number of another Grafana"
    identifiers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(identifiers)) == len(identifiers)
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
    places = set()
    for panel in DASHBOARD["panels"]:
        assert {"id", "type", "title", "description", "gridPos", "targets", "fieldConfig", "datasource"} <= set(panel)
        assert panel["type"] in ("timeseries", "stat")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            used = set(re.findall(r"\$(?:\{)?(\w+)", target["expr"]))
            assert used <= variables | {"__rate_interval"}
        box = panel["gridPos"]
        assert box["x"] >= 0
        assert box["x"] + box["w"] <= 24
        cells = {(x, y) for x in range(box["x"], box["x"] + box["w"]) for y in range(box["y"], box["y"] + box["h"])}
        assert not cells & places, f"{panel['title']} lies over another panel"
        places |= cells


def test_every_service_is_held_tightly():
    assert set(COMPOSE["services"]) == {"server", "prometheus", "grafana"}
    for name, service in COMPOSE["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"mem_limit", "cpus", "pids_limit", "healthcheck", "restart"} <= set(service), name
        assert not service.get("privileged")
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} can be reached from other machines"
        image = service["image"]
        assert image == "nlpladder" or re.search(r":v?\d+\.\d+\.\d+\}$", image), f"{name} takes whatever is newest"
    for secret in COMPOSE["secrets"].values():
        assert set(secret) == {"file"}, "a secret is a file, never a text of this file"


def test_what_compose_mounts_is_there_and_what_it_names_is_declared():
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", ()):
            source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).is_file(), source
                assert volume.endswith(":ro"), f"{name} could change {source}"
            elif not source.startswith("${"):
                assert source in COMPOSE["volumes"]
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        assert set(service.get("networks", ())) <= set(COMPOSE["networks"])
    scrape = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    job = scrape["scrape_configs"][0]
    assert job["metrics_path"] == "/metrics"
    assert job["static_configs"] == [{"targets": ["server:8000"]}]
    assert job["authorization"]["credentials_file"] == "/run/secrets/metrics_key"
    assert scrape["rule_files"] == ["alerts.yml"]
    source = yaml.safe_load((DEPLOY / "grafana/datasource.yaml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    assert source["type"] == DASHBOARD["templating"]["list"][0]["query"]


def dockerfile():
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    try:
        from dockerfile_checks import parser
    finally:
        sys.path.remove(str(REPOSITORY / "scripts"))
    return parser, parser.parse(DOCKERFILE)


def test_the_image_runs_as_a_fixed_user_with_a_health_check_and_gets_its_signal():
    parser, stages = dockerfile()
    last = {one.keyword: one for one in stages[-1].instructions}
    assert last["USER"].text == "10001:10001"
    assert last["STOPSIGNAL"].text == "SIGTERM"
    assert last["ENTRYPOINT"].words[:4] == ["python", "-m", "nlpladder", "serve"]
    assert last["EXPOSE"].text == "8000"
    assert parser.seconds_of(last["HEALTHCHECK"].flags["timeout"]) < parser.seconds_of(
        last["HEALTHCHECK"].flags["interval"]
    )
    assert "curl" not in last["HEALTHCHECK"].text
    assert not any(one.keyword == "RUN" and "pip" in one.text for one in stages[-1].instructions)
    keywords = [one.keyword for one in stages[-1].instructions]
    assert keywords.index("USER") > max(i for i, one in enumerate(keywords) if one in ("RUN", "COPY"))
    for word in ("password", "token=", "secret"):
        assert word not in DOCKERFILE.lower()


def test_options_that_image_and_compose_give_are_options_of_the_server():
    _, stages = dockerfile()
    entry = next(one.words for one in stages[-1].instructions if one.keyword == "ENTRYPOINT")
    command = [word for word in COMPOSE["services"]["server"]["command"] if not word.startswith("${")]
    options = parse(ServeOptions, entry[4:] + command)
    assert (options.host, options.port, options.local_files_only) == ("0.0.0.0", 8000, True)
    grace = int(COMPOSE["services"]["server"]["stop_grace_period"].removesuffix("s"))
    assert grace > options.grace_seconds
    assert options.api_keys == "/run/secrets/api_keys"


def requirements(*arguments):
    command = [sys.executable, "-I", str(DEPLOY / "requirements.py"), str(REPOSITORY / "pyproject.toml"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_image_installs_all_dependencies_but_those_that_are_left_out():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    everything = project["dependencies"] + project["optional-dependencies"]["serve"]
    assert requirements("--extra", "serve").stdout.splitlines() == everything
    assert len(requirements("--extra", "serve onnx").stdout.splitlines()) > len(everything)
    left_out = re.search(r'ARG LEAVE_OUT="([^"]*)"', DOCKERFILE)[1]
    lines = requirements("--extra", "serve", "--without", left_out).stdout.splitlines()
    assert len(lines) == len(everything) - len(left_out.split())
    assert set(lines) < set(everything)
    for arguments, sentence in (
        (("--extra", "none"), "no extra 'none'"), (("--without", "pandas tensorflow"), "tensorflow cannot be left out"),
    ):  # fmt: skip
        refused = requirements(*arguments)
        assert refused.returncode == 1
        assert sentence in refused.stderr


def test_no_module_of_the_front_imports_what_the_image_leaves_out():
    left_out = {name.replace("-", "_") for name in re.search(r'ARG LEAVE_OUT="([^"]*)"', DOCKERFILE)[1].split()}
    program = (
        "import sys, importlib.abc\n"
        "class Absent(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {left_out!r}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import nlpladder.serving.server, nlpladder.serving.worker, nlpladder.serving.engines\n"
        "from nlpladder.models.artefact_classes import ARTEFACTS\n"
        "from nlpladder.hub.loading import ADAPTED, GENERATORS, _class_of\n"
        "for entry in {*ARTEFACTS.values(), *GENERATORS.values(), *ADAPTED.values()}:\n"
        "    _class_of(entry)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_readme_says_what_the_files_say():
    text = (DEPLOY / "README.md").read_text()
    for argument in ("EXTRAS", "TORCH_INDEX", "LEAVE_OUT"):
        assert argument in text
        assert f"ARG {argument}=" in DOCKERFILE
    assert "chown 10001" in text
    for variable in re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()):
        assert variable in text, variable


def test_no_file_names_this_machine():
    for file in DEPLOY.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            text = file.read_text()
            assert str(REPOSITORY) not in text, file
            assert "/tmp/w" not in text, file
