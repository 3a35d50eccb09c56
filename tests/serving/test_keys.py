"""Who may ask."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpladder.errors import ConfigError
from nlpladder.serving.keys import ApiKeys, check_exposure, is_loopback, read_keys
from serving.clients import asking, check_error, run

KEY, OTHER = "k" * 32, "0123456789abcdef"


def write(tmp_path, text):
    path = tmp_path / "keys"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_keys_is_read(tmp_path):
    keys = read_keys(write(tmp_path, f"# who\n\nteam-a: {KEY}\n  team-b:{OTHER}  \n"))
    assert len(keys) == 2
    assert keys.name_of(f"Bearer {KEY}") == "team-a"
    assert keys.name_of(f"bearer {OTHER}") == "team-b"
    for wrong in (
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {KEY}",
        KEY,
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        "Bearer ü",
    ):
        assert keys.name_of(wrong) is None


def test_keys_are_kept_as_hashes_only():
    assert KEY not in repr(vars(ApiKeys({"a": KEY})))


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "holds no key"),
        ("# only words\n", "holds no key"),
        (KEY, "line 1: expected name:key"),
        (f"a b:{KEY}", "line 1: expected name:key"),
        (f":{KEY}", "line 1: expected name:key"),
        ("a:short", "16 to 256"),
        (f"a:{KEY} {KEY}", "16 to 256"),
        (f"a:{KEY}ü", "16 to 256"),
        (f"a:{KEY}\na:{OTHER}", "line 2: the name 'a' stands there already"),
        (f"a:{KEY}\nb:{KEY}", "line 2: the key of 'b' is another one's"),
    ],
)
def test_a_bad_file_is_refused_without_telling_a_key(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_keys(write(tmp_path, text))
    assert KEY not in str(caught.value)


def test_a_file_that_cannot_be_read_is_said_so(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_keys(tmp_path / "none")
    with pytest.raises(ConfigError, match="directory"):
        read_keys(tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_keys(tmp_path / "bytes")


@given(
    st.lists(
        st.text(string.ascii_letters + string.digits, min_size=16, max_size=40), min_size=1, max_size=6, unique=True
    )
)
def test_every_key_is_its_own_name_and_no_other(keys):
    table = ApiKeys({str(number): key for number, key in enumerate(keys)})
    for number, key in enumerate(keys):
        assert table.name_of(f"Bearer {key}") == str(number)
    assert table.name_of("Bearer " + "x" * 50) is None


def test_requests_without_a_key_are_refused_before_their_body_is_read():
    async def check():
        async with asking(keys=ApiKeys({"team": KEY})) as server:
            for headers in ({}, {"Authorization": "Bearer nobody"}, {"Authorization": KEY}):
                response = await server.post("/classify", b"{" * 100, **headers)
                check_error(response, 401, "unauthorized")
                assert response.headers["www-authenticate"].startswith("Bearer")
            for path in ("/models", "/metrics", "/drift", "/nothing"):
                check_error(await server.get(path), 401, "unauthorized")
            for path in ("/health", "/ready", "/docs", "/docs/page.js", "/openapi.json"):
                assert (await server.get(path)).status_code == 200, path
            good = {"Authorization": f"Bearer {KEY}"}
            assert (await server.post("/classify", {"texts": ["a"]}, **good)).status_code == 200
            assert (await server.get("/metrics", **good)).status_code == 200
            description = (await server.get("/openapi.json")).json()
            assert description["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
            assert description["paths"]["/classify"]["post"]["security"] == [{"key": []}]
            assert "401" in description["paths"]["/metrics"]["get"]["responses"]
            assert "security" not in description["paths"]["/health"]["get"]
            assert server.pool.asked[0][0] == "senti"
        lines = server.lines()
        named = [line for line in lines if line["path"] == "/classify" and line["status"] == 200]
        assert named[0]["key"] == "team"
        assert KEY not in json.dumps(lines)

    run(check())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_key(host):
    assert is_loopback(host)
    check_exposure(host, has_keys=False, without_keys=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.4", "example.org", "", "127.0.0.1.example.org"])
def test_other_addresses_need_a_key_or_a_word(host):
    with pytest.raises(ConfigError, match="--api_keys"):
        check_exposure(host, has_keys=False, without_keys=False)
    check_exposure(host, has_keys=True, without_keys=False)
    check_exposure(host, has_keys=False, without_keys=True)
