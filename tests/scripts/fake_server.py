"""A small server of the same HTTP contract, with a choice of faults: what checks a server must notice each of them.

python fake_server.py FAULT [FAULT …]        serves on a free port, with a worker process that it starts again
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = {
    "slow", "drops", "fails", "blurs", "refuses-without-wait", "miscounts", "leaks", "echoes", "stumbles", "forgets",
    "accepts-all", "late-token", "no-end", "other-stream", "nervous", "deaf", "dies-on-term", "exits-1", "orphans",
    "stays-dead", "reorders", "500-on-put", "never-ready",
}  # fmt: skip
ALLOWED = {"model", "texts", "truncate"}
ERROR = {
    "type": "object", "required": ["error", "request_id"],
    "properties": {"error": {"type": "object", "required": ["code", "message"]}, "request_id": {"type": "string"}},
}  # fmt: skip
DECLARED = {
    str(status): {"description": "an error", "content": {"application/json": {"schema": ERROR}}}
    for status in (404, 405, 411, 413, 415, 422, 429, 503)
}
OPENAPI = {
    "openapi": "3.1.0", "info": {"title": "fake", "version": "1"},
    "paths": {
        "/health": {"get": {"responses": {"200": {"description": "lives"}}}},
        "/classify": {"post": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": {
                "type": "object", "additionalProperties": False, "required": ["texts"],
                "properties": {
                    "model": {"type": ["string", "null"]}, "truncate": {"type": "boolean"},
                    "texts": {"type": "array", "minItems": 1, "maxItems": 64, "items": {"type": "string"}},
                },
            }}}},
            "responses": {"200": {"description": "answers", "content": {"application/json": {
                "schema": {"type": "object", "required": ["items", "request_id"]}}}}, **DECLARED},
        }},
    },
}  # fmt: skip


class RefusedError(Exception):
    def __init__(self, status, code, message, **headers):
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers


class FakeServer(ThreadingHTTPServer):
    """Answers like the real one; a context manager, on a free port of this machine."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *faults, seconds=0.0, queue=1_000, window=10, worker=None):
        assert set(faults) <= FAULTS, faults
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults, self.answer_seconds, self.queue, self.window, self.worker = faults, seconds, queue, window, worker
        self.lock = threading.Lock()
        self.active = self.peak = self.restarts = 0
        self.numbers, self.asked = itertools.count(1), itertools.count(1)
        self.counts = {}
        self.seen = []
        self.draining = False
        self.touched = time.monotonic()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        pass  # a client that went away


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeServer

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(6, 1, 1)  # no delay for the second small packet

    def send_error(self, code, message=None, explain=None):
        self.close_connection = True
        self.reply(400, {"error": {"code": "bad_request", "message": "This is no HTTP."}})

    def reply(self, status, said, **headers):
        request_id = f"r{next(self.server.numbers)}"
        body = json.dumps({**said, "request_id": request_id}).encode() if isinstance(said, dict) else said
        with contextlib.suppress(OSError):
            self.send_response_only(status)
            for name, value in {"Content-Type": "application/json", "X-Request-Id": request_id, **headers}.items():
                self.send_header(name.replace("_", "-"), str(value))
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection or status >= 500:
                self.close_connection = True
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    def refuse(self, error):
        self.reply(error.status, {"error": {"code": error.code, "message": str(error)}}, **error.headers)

    def do_GET(self):
        server = self.server
        fixed = {
            "/health": {"status": "ok"}, "/openapi.json": OPENAPI,
            "/models": {"models": [{"name": "fake", "tasks": ["classify", "generate"], "streams": True}]},
        }  # fmt: skip
        if self.path in fixed:
            self.reply(200, fixed[self.path])
        elif self.path == "/ready":
            dead = server.worker is not None and not server.worker.alive()
            status = 500 if "never-ready" in server.faults else 503 if dead or server.draining else 200
            self.reply(status, {"error": {"code": "starting", "message": "Wait."}})
        elif self.path == "/metrics":
            lines = [
                f'nlpladder_requests_total{{model="fake",task="classify",status="{status}"}} {count}'
                for status, count in server.counts.items()
            ]
            lines.append(f'nlpladder_worker_restarts_total{{model="fake"}} {server.restarts}')
            self.reply(200, ("\n".join(lines) + "\n").encode())
        elif self.path == "/drift":
            self.reply(200, {"models": {"fake": self.drift()}})
        elif self.path in ("/classify", "/generate"):
            self.other_method()
        else:
            self.refuse(RefusedError(404, "not_found", "There is no such page."))

    do_HEAD = do_GET

    def other_method(self):
        self.close_connection = True
        if "500-on-put" in self.server.faults:
            self.reply(500, b"Internal Server Error")
        elif self.path in ("/classify", "/generate", "/health", "/models", "/metrics"):
            self.refuse(RefusedError(405, "method_not_allowed", "Use another method.", Allow="POST, GET"))
        else:
            self.refuse(RefusedError(404, "not_found", "There is no such page."))

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = other_method

    def drift(self):
        windows = len(self.server.seen) // self.server.window
        last = self.server.seen[(windows - 1) * self.server.window : windows * self.server.window]
        differs = sum("foreign" in text for text in last) > len(last) // 2
        alarm = (differs and "deaf" not in self.server.faults) or "nervous" in self.server.faults
        return {"alarm": alarm, "windows": windows, "last": {"differs": differs}}

    def do_POST(self):
        server = self.server
        if self.path not in ("/classify", "/generate"):
            self.other_method()
            return
        with server.lock:
            server.active += 1
            server.touched = time.monotonic()
            full = server.active > server.queue
        number = next(server.asked)
        counted = False

        def count(status):
            """Count the request once: before it is answered, for who has the answer may ask for the counts at once."""
            nonlocal counted
            if not counted:
                counted, lies = True, "miscounts" in server.faults and number % 7 == 0
                with server.lock:
                    server.counts[status] = server.counts.get(status, 0) + (0 if lies else 1)

        try:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit():
                self.close_connection = True
                raise RefusedError(411, "length_required", "Say how long the body is.")
            if int(length) > 2**21:
                self.close_connection = True
                raise RefusedError(413, "too_large", "The body is too large.")
            body = self.rfile.read(int(length))
            if len(body) < int(length):
                self.close_connection = True
                raise RefusedError(422, "truncated", "The body is cut off.")
            if server.draining or (server.worker is not None and not server.worker.alive()):
                self.close_connection = server.draining
                raise RefusedError(503, "model_unavailable", "The model is not there.", Retry_After=1)
            if full:
                wait = {} if "refuses-without-wait" in server.faults else {"Retry_After": 1}
                raise RefusedError(429, "queue_full", "Too many wait.", **wait)
            if "drops" in server.faults and number % 5 == 0:
                self.close_connection = True
                return
            if "fails" in server.faults and number % 5 == 0:
                raise ZeroDivisionError
            said = self.read(body)
            time.sleep(0.2 if "slow" in server.faults else server.answer_seconds)
            if self.path == "/generate":
                self.generate(said)
                return
            server.seen.extend(said["texts"])
            items = [{"index": at, **self.classify(text)} for at, text in enumerate(said["texts"])]
            if "reorders" in server.faults:
                items.reverse()
            count(200)
            self.reply(200, {"model": "fake", "items": items})
        except RefusedError as error:
            count(error.status)
            self.refuse(error)
        except Exception as error:  # what a careless server would do
            count(500)
            self.reply(500, f"Internal Server Error: {type(error).__name__}".encode())
        finally:
            count(200)
            with server.lock:
                server.active -= 1

    def read(self, body):
        """Return what was asked, or say why not."""
        faults = self.server.faults
        if self.headers.get("Content-Type", "").split(";")[0].strip().lower() != "application/json":
            raise RefusedError(415, "content_type", "Send JSON.")
        try:
            said = json.loads(body, parse_constant=_refuse)
            json.dumps(said, ensure_ascii=False).encode("utf-8")
        except RecursionError:
            if "stumbles" in faults:
                raise
            raise RefusedError(422, "nested", "This is nested too deeply.") from None
        except ValueError:
            where = 'Traceback (most recent call last):\n  File "/srv/app.py", line 3' if "leaks" in faults else ""
            raise RefusedError(422, "no_json", f"This is no JSON. {where}") from None
        if "accepts-all" in faults:
            texts = said.get("texts") if isinstance(said, dict) else None
            return {"texts": texts if isinstance(texts, list) and texts else ["a"], "stream": False}
        if self.path == "/generate":
            return said
        if not isinstance(said, dict) or not set(said) <= ALLOWED:
            raise RefusedError(422, "unknown_field", f"Unknown field{': ' + str(said) if 'echoes' in faults else '.'}")
        texts = said.get("texts")
        if not isinstance(texts, list) or not 1 <= len(texts) <= 64 or not all(isinstance(each, str) for each in texts):
            raise RefusedError(
                422, "texts", f"Send 1 to 64 texts{', not ' + str(texts) if 'echoes' in faults else ''}."
            )
        if not isinstance(said.get("truncate", False), bool) or not isinstance(said.get("model"), (str, type(None))):
            raise RefusedError(422, "type", "A field has another type.")
        if said.get("model") not in (None, "fake"):
            raise RefusedError(404, "unknown_model", "There is no such model.")
        return said

    def classify(self, text):
        share = (sum(text.encode()) % 997) / 997
        if "blurs" in self.server.faults:
            share = min(1.0, share + 1e-3)
        if "forgets" in self.server.faults and next(self.server.numbers) > 60:
            share = 0.5
        return {"label": "positive", "probabilities": {"positive": share, "negative": 1 - share}, "truncated": False}

    def generate(self, said):
        faults = self.server.faults
        pieces = [" there", " was", " a", " dog"]
        if not said.get("stream"):
            self.reply(200, {"text": "".join(pieces[:3] if "other-stream" in faults else pieces), "tokens": 4})
            return
        self.send_response_only(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        time.sleep(0.15 if "late-token" in faults else 0)
        events = [("token", {"text": piece}) for piece in pieces]
        events += [] if "no-end" in faults else [("end", {"tokens": 4, "reason": "length", "seconds": 0.0})]
        for name, data in events:
            self.wfile.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
            self.wfile.flush()


def _refuse(name):
    raise ValueError(name)


class Worker:
    """A process that ends when its pipe closes, and is started again when it dies."""

    def __init__(self, faults, count_restart):
        self.faults, self.count_restart = faults, count_restart
        self.process = self.start()
        threading.Thread(target=self.watch, daemon=True).start()

    def start(self):
        stay = "import time; time.sleep(40)" if "orphans" in self.faults else "import sys; sys.stdin.read()"
        return subprocess.Popen([sys.executable, "-S", "-c", stay], stdin=subprocess.PIPE)

    def alive(self):
        return self.process.poll() is None

    def watch(self):
        while True:
            self.process.wait()
            if "stays-dead" in self.faults:
                return
            time.sleep(0.3)
            self.process = self.start()
            self.count_restart()


def main():
    faults = sys.argv[1:]
    server = FakeServer(*faults, seconds=0.05)

    def count_restart():
        server.restarts += 1

    server.worker = Worker(faults, count_restart)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0) if "dies-on-term" in faults else ended.set())
    with server:
        sys.stdout.write(json.dumps({"event": "listening", "port": server.server_address[1]}) + "\n")
        sys.stdout.flush()
        ended.wait()
        server.draining = True
        server.shutdown()
        while server.active or time.monotonic() - server.touched < 0.3:
            time.sleep(0.01)
    server.worker.process.kill()
    server.worker.process.wait()
    os._exit(1 if "exits-1" in faults else 0)


if __name__ == "__main__":
    main()
