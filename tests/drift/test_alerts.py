"""Where an alarm goes: the log, and a webhook that stands in for a real one."""

from __future__ import annotations

import http.server
import json
import queue
import threading

import pytest

from nlpladder.drift.alerts import Webhook
from nlpladder.drift.monitor import DriftEvent
from nlpladder.errors import ConfigError

EVENT = DriftEvent("raised", "toy", "2026-01-01T00:00:00+00:00", 2, 500, {"words": {"psi": 1.5}}, "Traffic differs.")


class Receiver:
    """A server on loopback that answers with the statuses that it is given, and keeps what came."""

    def __init__(self, *statuses: int) -> None:
        self.came: queue.Queue[tuple[str, dict]] = queue.Queue()
        left, came = list(statuses), self.came

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                came.put((self.path, json.loads(body)))
                self.send_response(left.pop(0) if left else 204)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *arguments) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?key=secret"

    def __enter__(self) -> Receiver:
        self.thread.start()
        return self

    def __exit__(self, *arguments) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


def test_an_event_is_posted_once():
    with Receiver() as receiver:
        webhook = Webhook(receiver.url)
        webhook(EVENT)
        path, body = receiver.came.get(timeout=10)
        assert webhook.close()
    assert path == "/hook?key=secret"
    assert body == EVENT.to_dict()
    assert receiver.came.empty()


def test_an_overloaded_receiver_is_tried_again():
    with Receiver(500, 429, 503) as receiver:
        webhook = Webhook(receiver.url, waits=(0.001, 0.001, 0.001))
        webhook(EVENT)
        for _ in range(4):
            receiver.came.get(timeout=10)
        assert webhook.close()
    assert receiver.came.empty()


@pytest.mark.parametrize("status, said", [(404, "404"), (302, "redirect"), (307, "redirect")])
def test_what_will_not_change_is_not_tried_again(status, said, caplog):
    with Receiver(status) as receiver:
        webhook = Webhook(receiver.url, waits=(0.001,))
        webhook(EVENT)
        receiver.came.get(timeout=10)
        assert webhook.close()
    assert receiver.came.empty()
    assert said in caplog.text
    assert "secret" not in caplog.text


def test_after_four_tries_it_is_given_up_and_logged(caplog):
    with Receiver(*[500] * 9) as receiver:
        webhook = Webhook(receiver.url, waits=(0.001, 0.001, 0.001))
        webhook(EVENT)
        for _ in range(4):
            receiver.came.get(timeout=10)
        assert webhook.close()
    assert receiver.came.empty()
    assert "raised of toy was not delivered" in caplog.text


def test_nobody_there_is_logged(caplog):
    with Receiver() as receiver:
        url = receiver.url
    webhook = Webhook(url, waits=())
    webhook(EVENT)
    assert webhook.close()
    assert "was not delivered" in caplog.text


def test_closing_does_not_wait_for_the_next_try(caplog):
    with Receiver(500, 500, 500) as receiver:
        webhook = Webhook(receiver.url, waits=(3600.0,))
        webhook(EVENT)
        receiver.came.get(timeout=10)
        assert webhook.close(20)
    assert "was not delivered" in caplog.text


@pytest.mark.parametrize(
    "url", ["", "hook", "ftp://host/x", "file:///etc/passwd", "http://", "http://me:key@host/", "http://host:x/"]
)
def test_an_address_must_be_one(url):
    with pytest.raises(ConfigError) as found:
        Webhook(url)
    assert "key" not in str(found.value).replace("a key", "")
