"""The demo's models: listed, opened one caller at a time, closed when memory is full; see `demos/shell/store.py`."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from nlpladder.errors import DataError, ModelError
from nlpladder.models.counts.majority import MajorityClassifier
from shell import store as store_module
from shell.limits import DemoError
from shell.listing import alike, find_models
from shell.store import ModelStore, asked_model, asked_models, known_to


def save_classifier(folder: Path) -> None:
    MajorityClassifier(label_names=("bad", "good")).fit(["a", "b"], [0, 1]).save_pretrained(folder)


@pytest.fixture
def models_dir(tmp_path):
    for age, name in enumerate(("climb/majority/seed-0", "third", "first")):
        save_classifier(tmp_path / "outputs" / name)
        os.utime(tmp_path / "outputs" / name / "config.json", (1000 + age, 1000 + age))
    return tmp_path / "outputs"


def test_models_are_found_the_newest_first(models_dir):
    entries = find_models(models_dir)
    assert [entry.name for entry in entries] == ["first", "third", "climb/majority/seed-0"]
    assert all("classify" in entry.abilities and entry.num_bytes > 0 for entry in entries)


def test_what_is_broken_hidden_or_linked_is_not_listed(models_dir, tmp_path):
    save_classifier(tmp_path / "elsewhere")
    (models_dir / "link").symlink_to(tmp_path / "elsewhere")
    save_classifier(models_dir / ".hidden")
    save_classifier(models_dir / "run" / "checkpoints" / "step-1")
    broken = models_dir / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{")
    assert {entry.name for entry in find_models(models_dir)} == {"first", "third", "climb/majority/seed-0"}


def test_links_that_are_not_followed_are_named(models_dir, tmp_path):
    save_classifier(tmp_path / "elsewhere")
    for name in ("link", ".hidden", "climb/deep"):
        (models_dir / name).symlink_to(tmp_path / "elsewhere")
    (models_dir / "file").symlink_to(tmp_path / "elsewhere" / "config.json")
    (models_dir / "gone").symlink_to(tmp_path / "nowhere")
    (models_dir / "first" / "inside").symlink_to(tmp_path / "elsewhere")
    store = ModelStore(models_dir, max_bytes=10**9)
    assert store.skipped == ["climb/deep", "link"]
    assert "link" not in {entry.name for entry in store.entries()}
    (models_dir / "link").unlink()
    store.refresh()
    assert store.skipped == ["climb/deep"]
    assert ModelStore(tmp_path / "nothing", max_bytes=1).skipped == []
    for number in range(30):
        (models_dir / f"link{number}").symlink_to(tmp_path / "elsewhere")
    store.refresh()
    assert len(store.skipped) == 10


def test_a_pickle_is_not_opened(models_dir):
    folder = models_dir / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertForMaskedLM"]}))
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    assert "pickled" not in {entry.name for entry in find_models(models_dir)}


def test_a_model_is_opened_when_it_is_asked_for(models_dir):
    store = ModelStore(models_dir, max_bytes=10**9)
    assert store.open_names() == []
    with store.use("first") as model:
        assert model.predict_proba(["x"]).shape == (1, 2)
    assert store.open_names() == ["first"]


@pytest.mark.parametrize("name", ["../first", "/etc/passwd", "firs", "", None, 3, ["first"], "first/../third"])
def test_only_names_of_the_listing_are_opened(models_dir, name):
    store = ModelStore(models_dir, max_bytes=10**9)
    with pytest.raises(DemoError, match="There is no model"), store.use(name):
        raise AssertionError("opened")


class Loads:
    """Counts what is opened and how many callers a model has at the same time."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.inside = 0
        self.most_inside = 0

    def __call__(self, path: str) -> Any:
        self.opened.append(os.path.basename(path))
        return self


def sized_store(models_dir: Path, monkeypatch: pytest.MonkeyPatch, *, max_bytes: int) -> tuple[ModelStore, Loads]:
    """Return a store whose models weigh 100 bytes each, 125 when open."""
    import dataclasses

    found = find_models(models_dir)
    monkeypatch.setattr(
        store_module, "find_models", lambda _: [dataclasses.replace(entry, num_bytes=100) for entry in found]
    )
    loads = Loads()
    return ModelStore(models_dir, max_bytes=max_bytes, load=loads), loads


def test_the_longest_unused_model_is_closed_first(models_dir, monkeypatch):
    store, loads = sized_store(models_dir, monkeypatch, max_bytes=250)
    for name in ("first", "third", "first", "climb/majority/seed-0"):
        with store.use(name):
            pass
    assert store.open_names() == ["first", "climb/majority/seed-0"]
    assert loads.opened == ["first", "third", "seed-0"]


def test_a_model_at_work_is_not_closed(models_dir, monkeypatch):
    store, _ = sized_store(models_dir, monkeypatch, max_bytes=125)
    with store.use("first"):
        with pytest.raises(DemoError, match="no room"), store.use("third"):
            raise AssertionError("opened")
        assert store.open_names() == ["first"]
    with store.use("third"):
        assert store.open_names() == ["third"]


def test_a_model_larger_than_the_memory_is_refused(models_dir, monkeypatch):
    store, _ = sized_store(models_dir, monkeypatch, max_bytes=100)
    with pytest.raises(DemoError, match="max_model_gb"), store.use("first"):
        raise AssertionError("opened")


def test_a_model_that_cannot_be_opened_takes_no_room(models_dir, monkeypatch):
    store, loads = sized_store(models_dir, monkeypatch, max_bytes=125)

    def fails(path: str) -> Any:
        raise OSError(path)

    store._load = fails
    with pytest.raises(OSError), store.use("first"):
        raise AssertionError("opened")
    store._load = loads
    with store.use("third"):
        assert store.open_names() == ["third"]


def test_one_caller_a_model_at_a_time(models_dir, monkeypatch):
    store, loads = sized_store(models_dir, monkeypatch, max_bytes=1000)
    barrier = threading.Barrier(6)
    guard = threading.Lock()

    def call() -> None:
        barrier.wait()
        for _ in range(20):
            with store.use("first") as model:
                with guard:
                    model.inside += 1
                    model.most_inside = max(model.most_inside, model.inside)
                with guard:
                    model.inside -= 1

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads.most_inside == 1
    assert loads.opened == ["first"]


def test_too_many_who_wait_are_sent_away(models_dir, monkeypatch):
    monkeypatch.setattr(store_module, "MAX_WAITING", 1)
    store, _ = sized_store(models_dir, monkeypatch, max_bytes=1000)
    with store.use("first"), pytest.raises(DemoError, match="Try again"), store.use("first"):
        raise AssertionError("opened")
    with store.use("first"):
        pass


@pytest.mark.parametrize("repo_id", ["../x", "/etc", "a/b/c", "a b", "http://x", "a/..", "x" * 201, ""])
def test_what_is_no_id_of_the_hub_is_refused_unasked(models_dir, repo_id):
    store = ModelStore(models_dir, max_bytes=10**9)
    with pytest.raises(DemoError, match="no id of the Hub"):
        store.add_from_hub(repo_id, revision=None, cached_only=True)


def test_a_run_that_came_later_is_found_after_a_look(models_dir):
    store = ModelStore(models_dir, max_bytes=10**9)
    save_classifier(models_dir / "later")
    assert "later" not in store.names("classify")
    store.refresh()
    assert "later" in store.names("classify")


def test_a_run_that_came_later_is_taken_by_name_without_a_look(models_dir):
    store = ModelStore(models_dir, max_bytes=10**9)
    save_classifier(models_dir / "later")
    assert asked_models(store, ["first", "later"], "classify") == ["first", "later"]
    save_classifier(models_dir / "latest")
    assert asked_model(store, "latest", "classify") == "latest"
    with pytest.raises(DemoError, match="Did you mean 'latest'"):
        asked_models(store, "latst", "classify")
    with pytest.raises(DemoError, match="at most 1 are taken"):
        asked_models(store, ["first", "third"], "classify", most=1)
    with pytest.raises(DemoError, match="nothing is chosen"):
        asked_model(store, None, "classify")


def test_the_listing_is_made_anew_only_for_a_name_that_it_lacks(models_dir, monkeypatch):
    store, looks = ModelStore(models_dir, max_bytes=10**9), []
    monkeypatch.setattr(store, "refresh", lambda: looks.append(1))
    asked_models(store, ["first"], "classify")
    asked_model(store, "third", "classify")
    for nothing in (None, [], [None], 3):
        with pytest.raises(DemoError):
            asked_models(store, nothing, "classify")
    assert looks == []
    with pytest.raises(DemoError):
        asked_models(store, ["nobody", "else"], "classify")
    assert looks == [1]
    assert known_to(["a"], ["a", 3, None])
    assert not known_to([], "a")


def test_errors_do_not_tell_where_the_models_lie(models_dir):
    store = ModelStore(models_dir, max_bytes=10**9)
    (models_dir / "first" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError) as caught, store.use("first"):
        raise AssertionError("opened")
    assert "first" in str(caught.value)
    assert str(models_dir) not in str(caught.value)
    with pytest.raises(DataError, match="^a sentence$"), store.use("third"):
        raise DataError("a sentence")


def test_pickers_begin_with_models_of_the_same_data(models_dir):
    def tell(name: str, record: Any) -> None:
        (models_dir / name / "run.json").write_text(json.dumps(record))

    def data(name: str, **more: Any) -> dict[str, Any]:
        return {"identity": {"data": {"name": name, **more}}}

    tell("first", data("world:reviews?train=20"))
    tell("third", data("world:stories"))
    tell("climb/majority/seed-0", data("world:reviews?train=1500"))
    entries = find_models(models_dir)
    assert [entry.name for entry in alike(entries, 3)] == ["first", "climb/majority/seed-0"]
    assert [entry.name for entry in alike(entries, 1)] == ["first"]
    assert [entry.name for entry in alike(entries[1:], 3)] == ["third"]
    assert alike([], 3) == []
    tell("third", data("world:reviews?train=20", languages=["en", "fr"]))
    assert "third" not in [entry.name for entry in alike(find_models(models_dir), 3)]
    for broken in ([], {"identity": {"data": {"name": 3}}}, {"identity": None}, data("")):
        tell("first", broken)
        entries = find_models(models_dir)
        assert len(alike(entries, 3)) in (1, 3)
    (models_dir / "first" / "run.json").write_text("[" * 100_000)
    assert alike(find_models(models_dir), 2) == find_models(models_dir)[:2]
