"""A stand-in for the Hugging Face Hub on 127.0.0.1 that speaks the protocol of the real client, with faults on demand.

    with LoopbackHub() as hub:
        hub.fail_next(429, path="/commit/", retry_after=0)
        run_python("scripts/push_to_hub.py", "outputs/run", "tester/model", "--yes", **hub.environment())
        assert hub.files("tester/model")["config.json"]

Two ways to use it. Faithful: a subprocess with `environment`. Quick: in this process with `patch`, which works for
everything that builds its own ``HfApi()`` (``huggingface_hub.create_repo`` and its like are bound to the real site at
import). Spoken are huggingface_hub 2.4's calls of accounts, repositories, branches, uploads (regular and LFS), commits,
trees and downloads, for models, data sets and Spaces; Xet and pull requests are not. Only the standard library is used.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import secrets
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

USER, TOKEN = "tester", "hf_loopbackTokenOfTheTests"
#: What the Hub stores as LFS objects whatever their size; anything above 10 MB goes there too.
LFS_SUFFIXES = (
    ".7z", ".arrow", ".bin", ".bz2", ".ckpt", ".gz", ".h5", ".joblib", ".model", ".msgpack", ".npy", ".npz", ".onnx",
    ".parquet", ".pickle", ".pkl", ".pt", ".pth", ".safetensors", ".tar", ".zip",
)  # fmt: skip
LFS_SIZE = 10 * 2**20
#: What huggingface_hub asks for itself, once a day and whatever it is doing: no part of what is tested.
OWN_REQUESTS = "/api/agent-harnesses"
GITATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES).encode()
_PREFIXES = {"models": "", "datasets": "datasets/", "spaces": "spaces/"}
_CHUNK = 64 * 1024


def dead_port() -> int:
    """Return a port of this machine at which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass(frozen=True)
class Account:
    """Whose a token is.

    Attributes:
        name: Of the user.
        role: ``write``, ``read`` or ``fineGrained``.
        orgs: Organisations it may write to.
        scoped: For a fine-grained token: name of a user, organisation or repository -> its permissions.
    """

    name: str
    role: str = "write"
    orgs: tuple[str, ...] = ()
    scoped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredFile:
    """A file of a commit."""

    content: bytes
    lfs: bool = False

    @property
    def sha256(self) -> str:
        """What LFS calls the content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def blob_id(self) -> str:
        """What git calls the file; of an LFS file its pointer."""
        text = self.content
        if self.lfs:
            text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(text)}\n".encode()
        return hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest()


@dataclass
class Repository:
    """A repository: its commits by id, and its branches.

    Attributes:
        kind: ``models``, ``datasets`` or ``spaces``.
        name: ``owner/name``.
    """

    kind: str
    name: str
    private: bool = False
    commits: dict[str, dict[str, StoredFile]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, files: Mapping[str, StoredFile], *, branch: str = "main", message: str = "") -> str:
        """Make these files the content of a branch; returns the commit's id."""
        sha = secrets.token_hex(20)
        self.commits[sha] = dict(files)
        self.branches[branch] = sha
        self.messages.append(message)
        return sha

    def resolve(self, revision: str) -> str | None:
        """Return the commit that a branch or the id of a commit means."""
        return self.branches.get(revision, revision if revision in self.commits else None)


@dataclass(frozen=True)
class Request:
    """A request as it came in; `body` without the content of LFS objects."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Fault:
    """What is to go wrong, where, and how often; see `LoopbackHub.fail_next`."""

    what: int | str
    path: str
    method: str | None
    times: int
    skip: int
    retry_after: int | None
    seconds: float
    message: str | None


@dataclass
class Response:
    """An answer that is still to be sent."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Any, status: int = 200, **headers: str) -> Response:
        """Answer with json."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, json.dumps(content).encode(), {"Content-Type": "application/json", **named})

    @classmethod
    def error(cls, status: int, message: str, code: str = "") -> Response:
        """Answer with an error as the Hub words it."""
        return cls.of({"error": message}, status, **({"X_Error_Code": code} if code else {}), X_Error_Message=message)


class LoopbackHub:
    """The stand-in; a context manager.

    Args:
        user: The account of the token that `environment` and `patch` give.

    Attributes:
        endpoint: Its address.
        repos: By ``owner/name`` for models, ``datasets/owner/name``, ``spaces/owner/name``.
        objects: LFS contents by sha256, also those that no commit names yet.
        requests: All that came in.
        accounts: By token.
    """

    def __init__(self, *, user: Account | None = None) -> None:
        self.accounts = {TOKEN: user or Account(USER)}
        self.repos: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.lock = threading.RLock()
        self.closing = threading.Event()

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self._home = tempfile.TemporaryDirectory(prefix="loopback-hub-")
        self.home = Path(self._home.name)
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._home.cleanup()

    def environment(self, home: Path | None = None, *, token: str | None = TOKEN) -> dict[str, str]:
        """Return what makes the Hub clients of a subprocess talk to this one.

        Args:
            home: Where its cache lies; by default a folder of this stand-in, so that a second process finds it filled.
            token: None for a user who is not logged in.
        """
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home or self.home),
            "HF_HUB_OFFLINE": "0",
            "TRANSFORMERS_OFFLINE": "0",
            "HF_TOKEN": token or "",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    @contextlib.contextmanager
    def patch(self, monkeypatch: Any, home: Path, *, token: str | None = TOKEN) -> Any:
        """Make the Hub clients of this process talk to this one, inside the block.

        Args:
            monkeypatch: pytest's.
            home: A new folder for cache and token.
            token: None for a user who is not logged in.
        """
        import huggingface_hub
        from huggingface_hub import constants

        with monkeypatch.context() as patched:
            for name, value in self.environment(home, token=token).items():
                patched.setenv(name, value)
            patched.setattr(constants, "ENDPOINT", self.endpoint)
            template = self.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
            patched.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
            patched.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
            patched.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
            patched.setattr(constants, "HF_STORED_TOKENS_PATH", str(home / "stored_tokens"))
            patched.setattr(constants, "HF_HUB_DISABLE_XET", True)
            patched.setattr(constants, "HF_HUB_OFFLINE", False)
            huggingface_hub.close_session()  # its client has read the proxies of the environment
            try:
                yield self
            finally:
                huggingface_hub.close_session()

    def add_repo(
        self, name: str, files: Mapping[str, bytes] | None = None, *, private: bool = False, kind: str = "models"
    ) -> Repository:
        """Put a repository there without any client, whatever it holds.

        Args:
            name: ``owner/name``.
            files: Content by path.
            private: Whether only its owner may read it.
            kind: ``models``, ``datasets`` or ``spaces``.
        """
        repo = Repository(kind, name, private=private)
        stored = {path: StoredFile(content, is_lfs(path, len(content))) for path, content in (files or {}).items()}
        with self.lock:
            self.objects.update({one.sha256: one.content for one in stored.values() if one.lfs})
            repo.commit({".gitattributes": StoredFile(GITATTRIBUTES), **stored}, message="initial commit")
            self.repos[_PREFIXES[kind] + name] = repo
        return repo

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        """Return the content of a repository by path, without ``.gitattributes``."""
        repo = self.repos[name]
        commit = repo.commits[repo.resolve(revision) or ""]
        return {path: one.content for path, one in commit.items() if path != ".gitattributes"}

    def fail_next(
        self,
        what: int | str,
        *,
        path: str = "",
        method: str | None = None,
        times: int = 1,
        skip: int = 0,
        retry_after: int | None = None,
        seconds: float = 0.0,
        message: str | None = None,
    ) -> None:
        """Let requests fail that come from now on.

        Args:
            what: An HTTP status that is answered instead (the request is not carried out), or ``"drop"``: the
                connection ends in the middle of the upload, or of the download; ``"lost"``: the request is carried out
                and its answer lost; ``"slow"``: the answer takes `seconds`; ``"corrupt"``: the uploaded or downloaded
                content has one bit changed.
            path: A regular expression that is searched in path and query, such as ``/commit/`` or ``/lfs/objects/``.
            method: ``GET``, ``PUT``, …
            times: So many requests.
            skip: After so many that fit go well.
            retry_after: Seconds in the header ``Retry-After``.
            seconds: Of ``"slow"``.
            message: Of the error.
        """
        with self.lock:
            self.faults.append(Fault(what, path, method, times, skip, retry_after, seconds, message))

    def fault_for(self, method: str, path: str) -> Fault | None:
        """Return the fault that this request meets, and count it."""
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method in (None, method) and re.search(fault.path, path):
                    if fault.skip:
                        fault.skip -= 1
                        return None
                    fault.times -= 1
                    return fault
        return None


def is_lfs(path: str, size: int) -> bool:
    """Tell whether the Hub stores such a file as an LFS object."""
    return size > 0 and (path.endswith(LFS_SUFFIXES) or size > LFS_SIZE)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    hub: LoopbackHub
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        fault = self.hub.fault_for(self.command, self.path)
        body = self._read_body(half=fault is not None and fault.what == "drop")
        storing = self.command == "PUT"
        kept = Request(self.command, self.path, dict(self.headers.items()), b"" if storing else body)
        if not self.path.startswith(OWN_REQUESTS):
            with self.hub.lock:
                self.hub.requests.append(kept)
        if fault is not None:
            if fault.what == "drop" and self.command not in ("GET", "HEAD"):
                self._hang_up()
                return
            if isinstance(fault.what, int):
                self._send(_refusal(fault))
                return
            if fault.what == "slow":
                self.hub.closing.wait(fault.seconds)
            if fault.what == "corrupt" and storing and body:
                body = bytes([body[0] ^ 1]) + body[1:]
        try:
            with self.hub.lock:
                response = _answer(self.hub, self, body)
        except Exception as error:  # a fault of the stand-in; the client's test shall see it
            response = Response.error(599, f"the stand-in failed: {error!r}")
        if fault is not None and fault.what == "lost":
            self._hang_up()
            return
        if fault is not None and fault.what == "corrupt" and not storing and response.body:
            response.body = bytes([response.body[0] ^ 1]) + response.body[1:]
        self._send(response, half=fault is not None and fault.what == "drop")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _read_body(self, *, half: bool) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
                if half:
                    return b"".join(parts)
            self.rfile.readline()
            return b"".join(parts)
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(length // 2 if half else length)

    def _send(self, response: Response, *, half: bool = False) -> None:
        body = response.body
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in response.headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            self.wfile.write(body[: len(body) // 2] if half else body)
            self.wfile.flush()
            if half:
                self._hang_up()

    def _hang_up(self) -> None:
        import socket

        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _refusal(fault: Fault) -> Response:
    words = {401: "Invalid credentials in Authorization header", 403: "Forbidden", 429: "Too many requests"}
    status = int(fault.what)
    response = Response.error(status, fault.message or words.get(status, f"The stand-in was told to answer {status}"))
    if fault.retry_after is not None:
        response.headers["Retry-After"] = str(fault.retry_after)
    return response


# What each address does. A function gets the hub, the request and the named parts of its address.

Function = Callable[..., Response]
_REPO = r"(?P<kind>models|datasets|spaces)/(?P<name>[^/]+/[^/]+)"
_PAGE = r"(?:(?P<prefix>datasets|spaces)/)?(?P<name>(?!api/)[^/]+/[^/]+)"
ROUTES: list[tuple[str, str, Function]] = []


def _route(method: str, address: str) -> Callable[[Function], Function]:
    def remember(function: Function) -> Function:
        ROUTES.append((method, f"{address}$", function))
        return function

    return remember


def _answer(hub: LoopbackHub, request: _Handler, body: bytes) -> Response:
    parts = urlsplit(request.path)
    method = "GET" if request.command == "HEAD" else request.command
    for wanted, address, function in ROUTES:
        found = re.match(address, parts.path) if wanted == method else None
        if found is None:
            continue
        named = {name: unquote(value) for name, value in found.groupdict().items() if value is not None}
        account = hub.accounts.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if request.headers.get("Authorization") and account is None:
            return Response.error(401, "Invalid credentials in Authorization header")
        if "name" in named:
            kind = named.pop("kind", None) or named.pop("prefix", None) or "models"
            named.pop("prefix", None)
            repo = hub.repos.get(_PREFIXES[kind] + named.pop("name"))
            refused = _check_access(repo, account, writing=request.command not in ("GET", "HEAD"))
            if refused is not None:
                return refused
            named["repo"] = repo
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return function(hub=hub, request=request, body=body, account=account, query=query, **named)
    return Response.error(404, f"The stand-in does not speak {request.command} {parts.path}")


def _check_access(repo: Repository | None, account: Account | None, *, writing: bool) -> Response | None:
    if repo is None or (repo.private and not _owns(account, repo.name, "repo.content.read")):
        if account is None:
            return Response.error(401, "Invalid username or password.")
        return Response.error(404, "Repository not found", "RepoNotFound")
    if writing and not _owns(account, repo.name, "repo.write"):
        return Response.error(401 if account is None else 403, "You don't have the rights to write to this repository")
    return None


def _owns(account: Account | None, name: str, permission: str) -> bool:
    if account is None:
        return False
    owner = name.split("/")[0]
    if account.role == "fineGrained":
        return any(permission in account.scoped.get(entity, ()) for entity in (owner, name))
    return owner in (account.name, *account.orgs) and (permission != "repo.write" or account.role == "write")


@_route("GET", "/api/whoami-v2")
def _whoami(account: Account | None, **_: Any) -> Response:
    if account is None:
        return Response.error(401, "Invalid username or password.")
    token: dict[str, Any] = {"displayName": "of the tests", "role": account.role}
    if account.role == "fineGrained":
        token["fineGrained"] = {
            "global": [],
            "scoped": [
                {
                    "entity": {"type": "model" if "/" in entity else "user", "name": entity},
                    "permissions": list(permissions),
                }
                for entity, permissions in account.scoped.items()
            ],
        }
    orgs = [{"type": "org", "name": org, "roleInOrg": "write"} for org in account.orgs]
    auth = {"type": "access_token", "accessToken": token}
    return Response.of({"type": "user", "name": account.name, "orgs": orgs, "auth": auth})


@_route("POST", "/api/repos/create")
def _create(hub: LoopbackHub, body: bytes, account: Account | None, **_: Any) -> Response:
    wanted = json.loads(body)
    if account is None:
        return Response.error(401, "Invalid username or password.")
    name = f"{wanted.get('organization') or account.name}/{wanted['name']}"
    kind = f"{wanted.get('type') or 'model'}s"
    if not _owns(account, name, "repo.write"):
        return Response.error(403, f"You don't have the rights to create a {kind[:-1]} under this namespace")
    url = f"{hub.endpoint}/{_PREFIXES[kind]}{name}"
    if _PREFIXES[kind] + name in hub.repos:
        return Response.of({"error": f"You already created this {kind[:-1]} repo", "url": url}, 409)
    hub.add_repo(name, private=wanted.get("visibility") == "private" or bool(wanted.get("private")), kind=kind)
    return Response.of({"url": url})


@_route("DELETE", "/api/repos/delete")
def _delete(hub: LoopbackHub, body: bytes, account: Account | None, **_: Any) -> Response:
    wanted = json.loads(body)
    name = f"{wanted.get('organization') or (account.name if account else '')}/{wanted['name']}"
    key = _PREFIXES[f"{wanted.get('type') or 'model'}s"] + name
    if key not in hub.repos:
        return Response.error(404, "Repository not found", "RepoNotFound")
    if not _owns(account, name, "repo.write"):
        return Response.error(403, "Forbidden")
    del hub.repos[key]
    return Response.of({})


@_route("POST", "/api/validate-yaml")
def _validate(body: bytes, **_: Any) -> Response:
    text = json.loads(body)["content"]
    warnings, errors = [], []
    if not text.startswith("---\n"):
        warnings.append({"message": "empty or missing yaml metadata in repo card"})
    elif "\n---" not in text[4:]:
        errors.append({"message": "the metadata block is not closed"})
    return Response.of({"errors": errors, "warnings": warnings}, 400 if errors else 200)


@_route("GET", f"/api/{_REPO}(?:/revision/(?P<revision>[^/]+))?")
def _info(repo: Repository, query: dict[str, str], revision: str = "main", **_: Any) -> Response:
    sha = repo.resolve(revision)
    if sha is None:
        return Response.error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    siblings = []
    for path, one in sorted(repo.commits[sha].items()):
        more = {"size": len(one.content), "blobId": one.blob_id, **_lfs_of(one, "sha256")} if "blobs" in query else {}
        siblings.append({"rfilename": path, **more})
    return Response.of(
        {
            "id": repo.name, "sha": sha, "private": repo.private, "tags": [], "siblings": siblings, "gated": False,
            "disabled": False, "downloads": 0, "likes": 0, "lastModified": "2026-01-01T00:00:00.000Z",
            "createdAt": "2026-01-01T00:00:00.000Z",
        }
    )  # fmt: skip


@_route("GET", f"/api/{_REPO}/refs")
def _refs(repo: Repository, **_: Any) -> Response:
    found = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha} for name, sha in repo.branches.items()]
    return Response.of({"branches": found, "converts": [], "tags": [], "pullRequests": []})


@_route("POST", f"/api/{_REPO}/branch/(?P<branch>[^/]+)")
def _branch(repo: Repository, branch: str, body: bytes, **_: Any) -> Response:
    if branch in repo.branches:
        return Response.error(409, "Reference already exists")
    start = json.loads(body or b"{}").get("startingPoint") or "main"
    sha = repo.resolve(start)
    if sha is None:
        return Response.error(404, f"Invalid rev id: {start}", "RevisionNotFound")
    repo.branches[branch] = sha
    return Response.of({})


@_route("GET", f"/api/{_REPO}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?")
def _tree(repo: Repository, query: dict[str, str], revision: str, folder: str = "", **_: Any) -> Response:
    sha = repo.resolve(revision)
    if sha is None:
        return Response.error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    prefix = folder.rstrip("/") + "/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, one in sorted(repo.commits[sha].items()):
        if not path.startswith(prefix):
            continue
        parents = path[len(prefix) :].split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            name = prefix + "/".join(parents[:depth])
            if depth == 1 or query.get("recursive") == "true":
                oid = hashlib.sha1(name.encode()).hexdigest()
                entries.setdefault(name, {"type": "directory", "path": name, "oid": oid, "size": 0})
        if not parents or query.get("recursive") == "true":
            entries[path] = _entry(path, one)
    if folder and not entries:
        return Response.error(404, f"{folder} does not exist on {revision}", "EntryNotFound")
    return Response.of(list(entries.values()))


@_route("POST", f"/api/{_REPO}/paths-info/(?P<revision>[^/]+)")
def _paths_info(repo: Repository, revision: str, body: bytes, **_: Any) -> Response:
    sha = repo.resolve(revision)
    if sha is None:
        return Response.error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    text = body.decode()
    paths = json.loads(text)["paths"] if text.startswith("{") else parse_qs(text).get("paths", [])
    return Response.of([_entry(path, one) for path, one in repo.commits[sha].items() if path in paths])


def _entry(path: str, one: StoredFile) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": len(one.content), "oid": one.blob_id, **_lfs_of(one, "oid")}


def _lfs_of(one: StoredFile, key: str) -> dict[str, Any]:
    return {"lfs": {key: one.sha256, "size": len(one.content), "pointerSize": 130}} if one.lfs else {}


@_route("POST", f"/api/{_REPO}/preupload/(?P<revision>[^/]+)")
def _preupload(repo: Repository, revision: str, body: bytes, **_: Any) -> Response:
    sha = repo.resolve(revision)
    if sha is None:
        return Response.error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    answers = []
    for wanted in json.loads(body)["files"]:
        there = repo.commits[sha].get(wanted["path"])
        oid = None if there is None else there.sha256 if there.lfs else there.blob_id
        mode = "lfs" if is_lfs(wanted["path"], wanted["size"]) else "regular"
        answers.append({"path": wanted["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return Response.of({"files": answers})


@_route("POST", rf"/{_PAGE}\.git/info/lfs/objects/batch")
def _batch(hub: LoopbackHub, body: bytes, **_: Any) -> Response:
    answers = []
    for wanted in json.loads(body)["objects"]:
        if wanted["oid"] not in hub.objects:
            actions = {
                "upload": {"href": f"{hub.endpoint}/lfs/objects/{wanted['oid']}", "header": {}},
                "verify": {"href": f"{hub.endpoint}/lfs/verify/{wanted['oid']}", "header": {}},
            }
            wanted = {**wanted, "actions": actions}
        answers.append(wanted)
    return Response.of({"transfer": "basic", "objects": answers})


@_route("PUT", "/lfs/objects/(?P<oid>[0-9a-f]{64})")
def _store(hub: LoopbackHub, body: bytes, oid: str, **_: Any) -> Response:
    if hashlib.sha256(body).hexdigest() != oid:
        return Response.error(400, "The content does not have the sha256 that was announced")
    hub.objects[oid] = body
    return Response.of({})


@_route("POST", "/lfs/verify/(?P<oid>[0-9a-f]{64})")
def _verify(hub: LoopbackHub, body: bytes, oid: str, **_: Any) -> Response:
    whole = len(hub.objects.get(oid, b"")) == json.loads(body)["size"]
    return Response.of({}) if whole else Response.error(422, "The object is not whole")


@_route("POST", f"/api/{_REPO}/commit/(?P<revision>[^/]+)")
def _commit(hub: LoopbackHub, repo: Repository, revision: str, body: bytes, **_: Any) -> Response:
    if revision not in repo.branches:
        return Response.error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    header: dict[str, Any] = {}
    files = dict(repo.commits[repo.branches[revision]])
    for line in body.decode().splitlines():
        operation = json.loads(line)
        key, value = operation["key"], operation["value"]
        if key == "header":
            header = value
            if value.get("parentCommit") not in (None, repo.branches[revision]):
                return Response.error(412, "A commit has happened since. Please refresh and try again.")
        elif key == "file":
            files[value["path"]] = StoredFile(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            if value["oid"] not in hub.objects:
                return Response.error(400, f"The LFS object of {value['path']} was never uploaded")
            files[value["path"]] = StoredFile(hub.objects[value["oid"]], lfs=True)
        elif key == "deletedFile":
            if files.pop(value["path"], None) is None:
                return Response.error(404, "A file with this name doesn't exist", "EntryNotFound")
        elif key == "deletedFolder":
            files = {path: one for path, one in files.items() if not path.startswith(value["path"].rstrip("/") + "/")}
    sha = repo.commit(files, branch=revision, message=header.get("summary", ""))
    url = f"{hub.endpoint}/{_PREFIXES[repo.kind]}{repo.name}/commit/{sha}"
    return Response.of({"success": True, "commitOid": sha, "commitUrl": url, "pullRequestUrl": None})


@_route("GET", f"/{_PAGE}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def _resolve(repo: Repository, request: _Handler, revision: str, path: str, **_: Any) -> Response:
    sha = repo.resolve(revision)
    if sha is None:
        return Response.error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    one = repo.commits[sha].get(path)
    if one is None:
        missing = Response.error(404, "Entry not found", "EntryNotFound")
        missing.headers["X-Repo-Commit"] = sha
        return missing
    etag = one.sha256 if one.lfs else one.blob_id
    headers = {"X-Repo-Commit": sha, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
    headers["Content-Type"] = "application/octet-stream"
    if one.lfs:
        headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(one.content))}
    wanted = re.match(r"bytes=(\d+)-(\d*)$", request.headers.get("Range", ""))
    if wanted is None:
        return Response(200, one.content, headers)
    first, last = int(wanted[1]), int(wanted[2] or len(one.content) - 1)
    if first >= len(one.content):
        return Response(416, b"", {"Content-Range": f"bytes */{len(one.content)}"})
    headers["Content-Range"] = f"bytes {first}-{min(last, len(one.content) - 1)}/{len(one.content)}"
    return Response(206, one.content[first : last + 1], headers)
