"""What tabs are built with: calls as they were sent, answers that go when a call fails, notices that follow models."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import gradio as gr
import pandas as pd
import pytest

from demos.fakes import FakeStore
from shell.demo import Demo
from shell.limits import DemoError, check_choice, check_whole
from shell.options import DemoOptions
from shell.sidebar import links_text
from shell.store import asked_models
from tabs import classify


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "app"))


def small_page(store: Any) -> tuple[gr.Blocks, Demo]:
    """A page with one endpoint, a picker and a notice."""
    with gr.Blocks(analytics_enabled=False) as page:
        demo = Demo(store, DemoOptions())
        switch = gr.Checkbox(label="Advanced")
        demo.without_models("Train one.", "classify", "tag")
        demo.models("classify", key="a.models")
        number = gr.Slider(1, 5, 1, step=1, label="Beams")
        name = gr.Dropdown(["first"], value="first", label="Run")
        file = gr.File(label="File")
        go = gr.Button("Go")
        shown = gr.HTML("old")
        table = gr.Dataframe(pd.DataFrame(columns=["word", "count"]))

        def asked(name: str, number: int) -> tuple[str, Any]:
            """Answer."""
            return check_choice(name, "Runs", ["first", "second"]), [[check_whole(number, "Beams", least=1, most=5), 1]]

        demo.action([go.click, number.release], asked, [name, number], [shown, table], api_name="asked")
        demo.action(go.click, lambda file: "read", [file], [shown], api_name="read")
        demo.action(go.click, asked, [name, number], [shown, table], api_name="kept", keeps_answers=True)
        demo.finish(page, switch)
    return page, demo


def functions(page: gr.Blocks, name: str) -> Any:
    return next(function for function in page.fns.values() if function.api_name == name)


def called(page: gr.Blocks, name: str, *arguments: Any) -> Any:
    """Call an endpoint with what a program would send."""
    return asyncio.run(page.process_api(functions(page, name), list(arguments), state=None))["data"]


def test_a_choice_that_came_after_the_start_is_taken_and_a_wrong_one_told_by_name():
    page, _ = small_page(FakeStore({}))
    assert called(page, "asked", "second", 2)[0] == "second"
    with pytest.raises(gr.Error, match="Did you mean 'second'"):
        called(page, "asked", "secnd", 2)
    with pytest.raises(gr.Error, match="Beams is -5, expected a number from 1 to 5"):
        called(page, "asked", "first", -5)


def test_files_are_never_taken_as_they_are_sent():
    """Gradio checks in its preprocessing that a file is one that was uploaded."""
    page, _ = small_page(FakeStore({}))
    assert functions(page, "read").preprocess
    assert not functions(page, "asked").preprocess


def test_an_answer_goes_when_the_next_call_fails():
    page, _ = small_page(FakeStore({}))
    asked = functions(page, "asked")
    after = [each for each in page.fns.values() if each.trigger_only_on_failure]
    assert [each.trigger_after for each in after][:2] == [
        each._id for each in page.fns.values() if each.outputs == asked.outputs and not each.trigger_only_on_failure
    ][:2]
    kept = functions(page, "kept")._id
    assert kept not in [each.trigger_after for each in after]
    for each in after[:2]:
        assert each.outputs == asked.outputs
        emptied, table = each.fn()
        assert emptied == ""
        assert table.empty
        assert list(table.columns) == ["word", "count"]


def test_notices_go_when_a_model_comes_and_come_when_it_goes():
    store = FakeStore({})
    page, demo = small_page(store)
    (notice,) = [block for block in page.blocks.values() if isinstance(block, gr.Markdown)]
    assert notice.visible
    assert notice in demo.changes_of_models()
    assert demo.new_choices()[-1]["visible"] is True
    store._entries = FakeStore({"new": (None, {"tag"})})._entries
    assert demo.new_choices()[-1]["visible"] is False
    loads = [each for each in page.fns.values() if notice in each.outputs and "load" in {e for _, e in each.targets}]
    assert len(loads) == 1
    assert loads[0].fn({})[-1]["visible"] is False


def test_only_a_choice_of_the_visitor_is_remembered_of_a_picker():
    """What the server filled in would be remembered as chosen, and newer models never be preselected."""
    page, _ = small_page(FakeStore({}))
    savers = [each for each in page.fns.values() if each.js and "a.models" in str(each.js)]
    assert [{event for _, event in each.targets} for each in savers] == [{"input"}]
    others = [
        each for each in page.fns.values() if each.js and '"advanced"' in json.dumps(str(each.js)).replace("'", '"')
    ]
    assert [{event for _, event in each.targets} for each in others] == [{"change"}]


def test_links_that_are_not_followed_are_told_in_the_side_bar():
    store = FakeStore({})
    _, demo = small_page(store)
    assert links_text(demo)["visible"] is False
    store.skipped = ["a`<img>\n# b"]
    assert "`a<img> # b`" in links_text(demo)["value"]


def test_an_error_in_a_handler_of_the_demo_names_no_trace():
    page, _ = small_page(FakeStore({}))
    with pytest.raises(gr.Error) as caught:
        called(page, "asked", None, 2)
    assert not caught.value.print_exception
    assert isinstance(caught.value.__cause__, DemoError)


def test_a_call_with_a_file_takes_models_that_came_after_the_start(tmp_path):
    """Where a call has a file gradio checks all of its values, a picker's against the choices of the start."""
    store = FakeStore({"old": (None, {"classify"})})
    with gr.Blocks(analytics_enabled=False) as page:
        demo = Demo(store, DemoOptions())
        switch = gr.Checkbox(label="Advanced")
        models, file, go, shown = demo.models("classify", key="models"), gr.File(label="File"), gr.Button(), gr.HTML()

        def read(file: str | None, models: list[str]) -> str:
            """Answer."""
            return ", ".join(asked_models(store, models, "classify"))

        demo.action(go.click, read, [file, models], [shown], api_name="read")
        demo.finish(page, switch)
    store._entries = FakeStore({"new": (None, {"classify"}), "old": (None, {"classify"})})._entries
    assert called(page, "read", None, ["new", "old"]) == ["new, old"]
    with pytest.raises(gr.Error, match="Did you mean 'new'"):
        called(page, "read", None, ["newe"])


def test_a_table_that_is_emptied_keeps_its_headings(tmp_path):
    store = FakeStore({})
    with gr.Blocks(analytics_enabled=False) as page:
        demo = Demo(store, DemoOptions())
        switch = gr.Checkbox(label="Advanced")
        classify.build(demo)
        demo.finish(page, switch)
    tables = [block for block in page.blocks.values() if isinstance(block, gr.Dataframe)]
    emptied = [each for each in page.fns.values() if each.trigger_only_on_failure]
    assert len(tables) == 3
    for table in tables:
        function = next(each for each in emptied if table in each.outputs)
        answer = function.fn()
        frame = answer[function.outputs.index(table)] if len(function.outputs) > 1 else answer
        headers = table.postprocess(frame).headers
        assert headers
        assert not any(str(name).isdigit() for name in headers), headers
