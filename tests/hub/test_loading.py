"""`nlpladder.load` from the Hub: listed before it is fetched, from the cache when nobody answers, else one sentence."""

from __future__ import annotations

import functools
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import nlpladder
from helpers import run_python, tiny_bert_folder
from loopback_hub import USER, LoopbackHub, dead_port
from models.tiny_pretrained import tiny_checkpoint
from nlpladder.errors import ModelError
from nlpladder.hub.loading import check_name, hub_id_like
from nlpladder.models.counts.majority import MajorityClassifier
from nlpladder.models.hub_errors import explain_hub_error
from nlpladder.models.pretrained.adapters import add_adapter
from nlpladder.models.pretrained.loading import explain_loading_error, load_model
from nlpladder.models.pretrained.opening import open_pretrained
from nlpladder.models.pretrained.peft_options import PeftOptions
from nlpladder.models.sequence_classifier import SequenceClassifier
from nlpladder.models.transformer.foreign.loading import load_foreign
from nlpladder.models.translation import Translator

TEXTS = ["the film was good", "bad"]
MISSING = "owner/missing"
OFFLINE = "is offline .*Fetch it on a machine with network, with: hf download"


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A causal model and a classifier on disk."""
    root = tmp_path_factory.mktemp("saved")
    tiny_checkpoint("gpt2", root / "gpt2")
    MajorityClassifier(label_names=("a", "b")).fit(["x", "y", "z"], [0, 1, 1]).save_pretrained(root / "majority")
    return root


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with LoopbackHub() as running, running.patch(monkeypatch, tmp_path / "home"):
        yield running


def fetched(hub):
    """Paths of the files that were downloaded."""
    return {
        one.path.split("/resolve/")[1].split("/", 1)[1].split("?")[0] for one in hub.requests if "/resolve/" in one.path
    }


def log_probabilities(model):
    return [score.logprobs for score in model.score(TEXTS)]


def test_every_kind_of_model_comes_from_the_hub_as_from_its_folder(hub, saved):
    junk = {
        "pytorch_model.bin": pickle.dumps(1),
        "evil.py": b"raise SystemExit",
        "optimizer.pt": b"x",
        "README.md": b"#",
    }
    hub.add_repo("owner/gpt2", {**files_of(saved / "gpt2"), **junk})
    hub.add_repo(f"{USER}/majority", files_of(saved / "majority"), private=True)
    loaded = nlpladder.load("owner/gpt2")
    pairs = zip(log_probabilities(loaded), log_probabilities(nlpladder.load(saved / "gpt2")), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= fetched(hub)
    assert not fetched(hub) & set(junk)
    expected = nlpladder.load(saved / "majority").predict_proba(TEXTS)
    assert np.array_equal(nlpladder.load(f"{USER}/majority").predict_proba(TEXTS), expected)


def test_a_cached_model_loads_without_a_hub(monkeypatch, tmp_path, saved):
    with LoopbackHub() as hub:
        with hub.patch(monkeypatch, tmp_path / "home"):
            hub.add_repo("owner/majority", files_of(saved / "majority"))
            expected = nlpladder.load("owner/majority").predict_proba(TEXTS)
            assert np.array_equal(
                nlpladder.load("owner/majority", local_files_only=True).predict_proba(TEXTS), expected
            )
        # The same cache, and nobody who answers at the Hub's address.
        hub.endpoint = f"http://127.0.0.1:{dead_port()}"
        with hub.patch(monkeypatch, tmp_path / "home"):
            assert np.array_equal(nlpladder.load("owner/majority").predict_proba(TEXTS), expected)


def test_a_name_is_checked_without_a_download_and_asked_for_only_where_it_may_be_a_slip(monkeypatch, tmp_path, saved):
    """An owner may be called as a folder here is."""
    (tmp_path / "owner/lstm").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("no model")
    monkeypatch.chdir(tmp_path)
    with LoopbackHub() as hub, hub.patch(monkeypatch, tmp_path / "home"):
        hub.add_repo("owner/majority", files_of(saved / "majority"))
        check_name("owner/lstm")
        check_name("elsewhere/whatever")
        assert not hub.requests
        check_name("owner/majority")
        assert hub.requests
        assert not fetched(hub)
        with pytest.raises(ModelError, match="no model folder 'owner/nothere' here.*the Hub, either"):
            check_name("owner/nothere")
        with pytest.raises(ModelError, match="no model folder 'owner/majority' here"):
            check_name("owner/majority", local_files_only=True)
        nlpladder.load("owner/majority")
        check_name("owner/majority", local_files_only=True)
        asked = len(hub.requests)
        check_name("owner/majority")
        assert len(hub.requests) == asked, "the cache has it"
    for name, said in {"notes.txt": "is a file", "./owner/lst": "Did you mean", "no id!": "cannot be an id"}.items():
        with pytest.raises(ModelError, match=said):
            check_name(name)


def test_offline_error_1_of_4_nothing_in_the_cache():
    """LocalEntryNotFoundError; the tests run with HF_HUB_OFFLINE=1."""
    with pytest.raises(ModelError, match=rf"{MISSING} is neither .* in the local cache, and .*{OFFLINE} {MISSING}"):
        nlpladder.load(MISSING)


def test_offline_error_2_of_4_a_call_of_the_api():
    """OfflineModeIsEnabled."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    with pytest.raises(OfflineModeIsEnabled) as caught:
        HfApi().model_info(MISSING)
    told = explain_loading_error(MISSING, caught.value)
    assert isinstance(told, ModelError)
    assert "this machine is offline (HF_HUB_OFFLINE is set). Fetch it" in str(told)
    assert str(told).endswith(f"hf download {MISSING}")


def test_offline_error_3_of_4_transformers():
    """OSError, as the start of a fine-tuning meets it."""
    from transformers import AutoConfig

    with pytest.raises(OSError) as caught:
        AutoConfig.from_pretrained(MISSING)
    assert "hf download" in str(explain_loading_error(MISSING, caught.value))
    with pytest.raises(ModelError, match=OFFLINE):
        open_pretrained(MISSING, head="causal")


def test_offline_error_4_of_4_a_snapshot_that_is_there_in_part(monkeypatch, tmp_path, saved):
    """IncompleteSnapshotError: a download that was cut off, and then no network."""
    from huggingface_hub import constants

    with LoopbackHub() as hub, hub.patch(monkeypatch, tmp_path / "home"):
        hub.add_repo("owner/gpt2", files_of(saved / "gpt2"))
        hub.fail_next(404, path="/resolve/.*/model.safetensors", times=50)
        with pytest.raises(ModelError):
            nlpladder.load("owner/gpt2")
        with monkeypatch.context() as patched:
            patched.setattr(constants, "HF_HUB_OFFLINE", True)
            wanted = rf"owner/gpt2 is in the local cache only in part.*{OFFLINE} owner/gpt2"
            with pytest.raises(ModelError, match=wanted):
                nlpladder.load("owner/gpt2")


#: Every way to a model by its id.
OPENED = {
    "load": nlpladder.load,
    "fine-tuning": functools.partial(open_pretrained, head="causal"),
    "model": functools.partial(load_model, head="classification"),
    "base of an adapter": functools.partial(load_model, head="classification"),
    "translator": Translator.from_pretrained,
    "our Transformer": load_foreign,
}


@pytest.mark.parametrize("way", OPENED)
def test_a_dead_port_is_told_in_the_same_sentence(way, monkeypatch, tmp_path, adapter):
    """At once: the client itself tries for half a minute, file by file."""
    from huggingface_hub.utils import _http

    place = MISSING
    if way == "base of an adapter":
        place = shutil.copytree(adapter / "adapter", tmp_path / "adapter")
        config = json.loads((place / "adapter_config.json").read_text())
        (place / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": MISSING}))
    with LoopbackHub() as hub:
        hub.endpoint = f"http://127.0.0.1:{dead_port()}"
        with hub.patch(monkeypatch, tmp_path / "home"):
            monkeypatch.setattr(_http.time, "sleep", lambda seconds: pytest.fail(f"the client waits {seconds} s"))
            with pytest.raises(ModelError, match=rf"the Hub does not answer.*hf download {MISSING}"):
                OPENED[way](place)


def test_a_model_from_the_hub_is_fine_tuned_from_a_checked_snapshot_and_keeps_its_name(hub, saved, tmp_path):
    hub.add_repo("owner/gpt2", {**files_of(saved / "gpt2"), "pytorch_model.bin": b"x", "evil.py": b"raise SystemExit"})
    opened = open_pretrained("owner/gpt2", head="causal")
    assert "model.safetensors" in fetched(hub)
    assert not fetched(hub) & {"pytorch_model.bin", "evil.py"}
    assert {opened.model.name_or_path, opened.model.config.name_or_path, opened.tokenizer.name_or_path} == {
        "owner/gpt2"
    }
    opened.model.save_pretrained(tmp_path / "saved")
    opened.tokenizer.save_pretrained(tmp_path / "saved")
    for file in (tmp_path / "saved").glob("*.json"):
        assert str(tmp_path) not in file.read_text(encoding="utf-8"), file
    hub.add_repo("evil/huge", {"config.json": b" " * (17 * 2**20), "model.safetensors": b""})
    with pytest.raises(ModelError, match=r"evil/huge has .* more than the"):
        open_pretrained("evil/huge", head="causal")


@pytest.mark.slow
def test_a_process_of_its_own_says_one_line(tmp_path):
    """HF_HUB_OFFLINE and HF_ENDPOINT are read when the client is imported: only a new process shows what users see."""
    code = f"""
import nlpladder, nlpladder.errors
try:
    nlpladder.load({MISSING!r})
except nlpladder.errors.LadderError as error:
    print(error)
"""
    for offline, why in (("1", "HF_HUB_OFFLINE is set"), ("0", "the Hub does not answer")):
        environment = {
            "HF_HUB_OFFLINE": offline,
            "HF_HOME": str(tmp_path),
            "HF_ENDPOINT": f"http://127.0.0.1:{dead_port()}",
        }
        found = run_python("-c", code, NO_PROXY="127.0.0.1", HF_HUB_DISABLE_XET="1", **environment)
        assert found.returncode == 0, found.stderr
        assert why in found.stdout
        assert f"hf download {MISSING}" in found.stdout
        assert len(found.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(401, "hf auth login"), (403, "hf auth login"), (404, "There is no model|lacks"), (500, "status 500")],
)
def test_what_the_hub_refuses_is_told(hub, saved, status, sentence):
    hub.add_repo("owner/majority", files_of(saved / "majority"))
    hub.fail_next(status, times=50)
    with pytest.raises(ModelError, match=sentence):
        nlpladder.load("owner/majority")


def test_a_missing_repository_or_revision_is_told(hub, saved):
    with pytest.raises(ModelError, match=f"There is no model {MISSING} on the Hub.*hf auth login"):
        nlpladder.load(MISSING)
    hub.add_repo("owner/majority", files_of(saved / "majority"))
    with pytest.raises(ModelError, match="no such revision"):
        nlpladder.load("owner/majority", revision="v9")
    with pytest.raises(ModelError, match="cannot be an id of the Hub"):
        nlpladder.load("no model!")


MALICIOUS = {
    "pickle only": ({"config.json": b"{}", "pytorch_model.bin": pickle.dumps(1)}, "no pickled weights"),
    "a path out": ({"config.json": b"{}", "model.safetensors": b"", "../../evil": b"x"}, "leads out of its folder"),
    "huge config": ({"config.json": b" " * (17 * 2**20), "model.safetensors": b""}, "more than the"),
    "no config": ({"model.safetensors": b"12345678"}, "holds no config.json"),
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_a_malicious_repository_is_refused_before_any_file_is_fetched(hub, name):
    files, sentence = MALICIOUS[name]
    hub.add_repo("evil/model", files)
    with pytest.raises(ModelError, match=sentence) as caught:
        nlpladder.load("evil/model")
    assert "evil/model" in str(caught.value)
    assert fetched(hub) == set()


def test_code_and_lies_of_a_repository_are_refused_with_its_name(hub, saved):
    files = files_of(saved / "gpt2")
    config = json.loads(files["config.json"])
    hub.add_repo(
        "evil/code", {**files, "config.json": json.dumps({**config, "auto_map": {"AutoModel": "m.M"}}).encode()}
    )
    with pytest.raises(ModelError, match=r"The config.json of evil/code asks for Python code"):
        nlpladder.load("evil/code")
    hub.add_repo("evil/header", {**files, "model.safetensors": (2**31).to_bytes(8, "little") + b"{}"})
    with pytest.raises(ModelError, match="header claims 2,147,483,648 bytes"):
        nlpladder.load("evil/header")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """A LoRA classifier whose base stands beside it."""
    root = tmp_path_factory.mktemp("adapter")
    base = tiny_bert_folder(root / "base")
    opened = open_pretrained(str(base), head="classification", label_names=("no", "yes"))
    model = add_adapter(
        opened.model, method="lora", options=PeftOptions(rank=2, dropout=0.0), head="classification",
        fresh=opened.fresh, base_name="./../base",
    )  # fmt: skip
    SequenceClassifier(model, opened.tokenizer).save_pretrained(root / "adapter")
    return root


def test_an_adapter_from_the_hub_finds_its_base_on_the_hub(hub, adapter):
    expected = nlpladder.load(adapter / "adapter").predict_logits(TEXTS)
    files, base = files_of(adapter / "adapter"), files_of(adapter / "base")
    config = json.loads(files["adapter_config.json"])
    hub.add_repo("owner/base", {**base, "pytorch_model.bin": b"x"})
    named = json.dumps({**config, "base_model_name_or_path": "owner/base"}).encode()
    hub.add_repo("owner/adapter", {**files, "adapter_config.json": named})
    assert np.array_equal(nlpladder.load("owner/adapter").predict_logits(TEXTS), expected)
    assert "pytorch_model.bin" not in fetched(hub)
    # As it was saved, it names a folder of the machine that trained it.
    hub.add_repo("owner/local", files)
    with pytest.raises(ModelError, match=r"owner/local was trained on the base model '\./\.\./base'.*base_model="):
        nlpladder.load("owner/local")
    found = nlpladder.load("owner/local", base_model=str(adapter / "base"))
    assert np.array_equal(found.predict_logits(TEXTS), expected)


def test_the_base_of_an_adapter_is_looked_at_too(hub, adapter):
    files, base = files_of(adapter / "adapter"), files_of(adapter / "base")
    config = json.loads(files["adapter_config.json"])
    spoilt = json.dumps({**json.loads(base["config.json"]), "auto_map": {"AutoConfig": "m.C"}}).encode()
    hub.add_repo("evil/base", {**base, "config.json": spoilt})
    named = json.dumps({**config, "base_model_name_or_path": "evil/base"}).encode()
    hub.add_repo("owner/adapter", {**files, "adapter_config.json": named})
    with pytest.raises(ModelError, match="config.json of the base evil/base asks for Python code"):
        nlpladder.load("owner/adapter")


def test_names_that_can_be_ids():
    assert all(map(hub_id_like, ("gpt2", "owner/name", "a.b/c-d_e")))
    assert not any(map(hub_id_like, ("/a/b", "./a", "a/b/c", "../a", "", "a b", "~/a")))


def test_other_errors_are_not_touched():
    assert explain_hub_error("x", ValueError("7 is odd")) is None
    error = TypeError("a bug")
    assert explain_loading_error("x", error) is error
