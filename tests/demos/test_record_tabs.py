"""The tabs that show records (ladder, runs, share) are built, and their endpoints answer: wiring, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from demos.bias_fakes import EVIL
from demos.fakes import FakeStore
from demos.run_folders import make_climb, make_run
from shell.demo import Demo
from shell.options import DemoOptions
from tabs import ladder, runs, share


def page_of(models_dir: Path) -> gr.Blocks:
    store: Any = FakeStore({}, models_dir)
    with gr.Blocks(analytics_enabled=False) as page:
        demo = Demo(store, DemoOptions(models_dir="outputs"))
        switch = gr.Checkbox(label="Advanced")
        for tab in (ladder, runs, share):
            with gr.Tab(tab.TITLE):
                tab.build(demo)
        demo.finish(page, switch)
    return page


def endpoint(page: gr.Blocks, name: str) -> Any:
    return next(function for function in page.fns.values() if function.api_name == name)


def loaders(page: gr.Blocks) -> list[Any]:
    return [function for function in page.fns.values() if ("load" in {event for _, event in function.targets})]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "app"))


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    make_climb(tmp_path / "outputs" / "mine")
    make_run(tmp_path / "outputs" / "alone")
    return tmp_path / "outputs"


def test_the_endpoints_are_named_and_documented(models_dir: Path) -> None:
    page = page_of(models_dir)
    assert set(page.get_api_info()["named_endpoints"]) == {"/ladder", "/rung", "/run", "/share"}
    for name in ("ladder", "rung", "run", "share"):
        assert "Args:" in (endpoint(page, name).fn.__doc__ or "")


def test_the_endpoints_answer(models_dir: Path) -> None:
    page = page_of(models_dir)
    table, notes, plot = endpoint(page, "ladder").fn("mine", "parameters")
    assert len(table["value"]) == 3
    assert notes
    assert plot.count("<button") == 2
    assert "Long short-term memory" in endpoint(page, "rung").fn("mine", "bilstm")
    assert len(endpoint(page, "run").fn("mine/bilstm/seed-0")) == 9
    assert endpoint(page, "share").fn("alone", "ada/x", False, "", "", "")[0].endswith("outputs/alone ada/x")


@pytest.fixture(scope="module")
def one_page(tmp_path_factory: pytest.TempPathFactory) -> gr.Blocks:
    """A page that is built once for many questions; building takes longer than any of them."""
    folder = tmp_path_factory.mktemp("outputs")
    make_climb(folder / "mine")
    make_run(folder / "alone")
    return page_of(folder)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ladder", ("../mine", "parameters")), ("ladder", ("mine", "price")), ("ladder", (None, None)),
        ("rung", ("mine", "<img src=x>")), ("run", ("/etc",)), ("run", (["alone"],)),
        ("share", ("alone", "x; id", False, "", "", "")), ("share", ("alone", "ada/x", False, "a" * 99, "", "")),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_a_sentence_without_a_trace(name: str, arguments: tuple, one_page: gr.Blocks) -> None:
    with pytest.raises(gr.Error) as caught:
        endpoint(one_page, name).fn(*arguments)
    assert not caught.value.print_exception
    assert "<img" not in str(caught.value)


def test_what_came_after_the_start_is_found_on_a_reload(tmp_path: Path) -> None:
    page = page_of(tmp_path / "outputs")
    with pytest.raises(gr.Error):
        endpoint(page, "run").fn("mine/bilstm/seed-0")
    make_climb(tmp_path / "outputs" / "mine")
    answers = [function.fn() for function in loaders(page) if not function.inputs]
    chosen = [
        update["value"] for answer in answers for update in answer if isinstance(update, dict) and "choices" in update
    ]
    assert sorted(chosen) == ["mine", "mine/bilstm/seed-0", "mine/bilstm/seed-0"]


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    page = page_of(tmp_path / "outputs")
    shown = [block.value for block in page.blocks.values() if isinstance(block, gr.Markdown) and block.visible]
    assert sum("tiny_ladder.py" in str(text) for text in shown) == 3
    for function in loaders(page):
        if not function.inputs:
            function.fn()


def test_a_point_of_the_picture_tells_of_its_rung(models_dir: Path) -> None:
    page = page_of(models_dir)
    plot = next(block for block in page.blocks.values() if block.elem_id == "ladder-plot")
    (chosen,) = [each for each in page.fns.values() if (plot._id, "select") in each.targets]
    event = gr.SelectData(None, {"index": 0, "value": "bilstm"})
    assert "bidirectional LSTM" in chosen.fn("mine", event)
    with pytest.raises(gr.Error):
        chosen.fn("mine", gr.SelectData(None, {"index": 0, "value": EVIL}))
