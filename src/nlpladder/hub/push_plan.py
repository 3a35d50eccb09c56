"""The plan of a push: every file, where it goes, what stays and why, before anything is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nlpladder.hub.account import check_account
from nlpladder.hub.card_texts import PLACE
from nlpladder.hub.cards import CardOptions
from nlpladder.hub.evaluation_results import FOLDER
from nlpladder.hub.publish_options import check_repo_id
from nlpladder.hub.push_card import card_copies
from nlpladder.hub.push_checks import Subject, check_base, check_opens, read_subject
from nlpladder.hub.push_copy import Copy, adapter_base, copy_texts
from nlpladder.hub.push_files import MARKER_FILE, is_model_file, select_files
from nlpladder.hub.remote import Remote, RemoteFile, check_may_write, find_uploaded, look

if TYPE_CHECKING:
    from huggingface_hub import HfApi

State = Literal["new", "changed", "uploaded", "there"]
MARKER_VERSION = 1


@dataclass(frozen=True)
class PlannedFile:
    """A file that the repository shall hold.

    Attributes:
        path: In the repository.
        source: Where it lies here, or what is sent.
        size: Bytes.
        sha256: Of the content.
        blob_id: SHA-1 that git gives the content.
        state: Against the repository now. ``there`` is not sent; ``uploaded`` is with the Hub from a push that was
            interrupted, and has only to be named in the commit.
        why: What differs from the file here, or an empty text.
    """

    path: str
    source: Path | bytes
    size: int
    sha256: str
    blob_id: str
    state: State = "new"
    why: str = ""

    def equals(self, other: RemoteFile | None) -> bool:
        """Tell whether a file of the Hub has the same content."""
        if other is None or other.size != self.size:
            return False
        return other.sha256 == self.sha256 if other.sha256 is not None else other.blob_id == self.blob_id


@dataclass(frozen=True)
class PushPlan:
    """What a push will do.

    Attributes:
        subject: What is pushed.
        repo_id: Where to.
        revision: The branch; None for main.
        private: What the repository is, or will be.
        remote: What stands there now.
        files: Everything that the repository shall hold of this run.
        removed: Files of the repository that would mix with them.
        left_out: Path, bytes and reason of what stays here.
        loading: Python lines that open the model.
    """

    subject: Subject
    repo_id: str
    revision: str | None
    private: bool
    remote: Remote
    files: tuple[PlannedFile, ...]
    removed: tuple[str, ...]
    left_out: tuple[tuple[str, int, str], ...]
    loading: tuple[str, ...]

    @property
    def to_send(self) -> tuple[PlannedFile, ...]:
        """The files that are not there yet."""
        return tuple(file for file in self.files if file.state != "there")

    @property
    def nothing_to_do(self) -> bool:
        """Whether the repository already is what it shall be."""
        return self.remote.head is not None and not self.to_send and not self.removed

    def describe(self) -> str:
        """Return the plan for a reader."""
        sight = "private" if self.private else "PUBLIC"
        state = "exists" if self.remote.exists else "new"
        kept = " and stays so" if self.remote.exists else ""
        branch = self.revision or "main"
        onto = f"on commit {self.remote.head[:12]}" if self.remote.head else "new"
        send = sum(file.size for file in self.to_send if file.state != "uploaded")
        total = sum(file.size for file in self.files)
        lines = [
            f"Push of {self.subject.folder} ({self.subject.title})",
            f"  to       {self.repo_id}: {state}, {sight}{kept}; branch {branch}, {onto}",
            f"  files    {len(self.to_send)} to send ({readable_size(send)}) of {len(self.files)} "
            f"({readable_size(total)}); what is there already is skipped",
        ]
        width = max(len(file.path) for file in self.files)
        for file in self.files:
            note = f"  [{file.why}]" if file.why else ""
            lines.append(f"    {file.state:<8} {file.path:<{width}} {readable_size(file.size):>10}{note}")
        if self.removed:
            lines.append("  removed there (of an earlier model; the Hub keeps its history)")
            lines += [f"    {path}" for path in self.removed]
        if self.left_out:
            lines.append("  left out")
            lines += [
                f"    {path:<{width}} {readable_size(size):>10}  {reason}"
                for path, size, reason in summarised(self.left_out)
            ]
        others = sorted(set(self.remote.files) - {file.path for file in self.files} - set(self.removed))
        if others:
            lines.append(f"  untouched there: {', '.join(others[:8])}{' …' if len(others) > 8 else ''}")
        return "\n".join(lines)


def plan_push(
    folder: str | Path,
    repo_id: str,
    *,
    api: HfApi | None = None,
    public: bool = False,
    revision: str | None = None,
    update: bool = False,
    base_model: str | None = None,
    include: Sequence[str] = (),
    card: CardOptions | None = None,
) -> PushPlan:
    """Look at a run and at the Hub, and say what a push would do; nothing is sent.

    Args:
        folder: A finished run folder, or a saved model.
        repo_id: ``owner/name``.
        api: By default a new client.
        public: Make a new repository public.
        revision: The branch; by default main.
        update: Write over a repository that holds something else than an earlier push of this run.
        base_model: For an adapter: the Hub id of its base.
        include: Patterns of files that are pushed too.
        card: Licence, languages and configuration of the data, for the head of the card that is sent; the run's own
            card stays as it is.

    Raises:
        ConfigError: `repo_id` is no name, or what the card is to say is no licence, language or configuration.
        RunError: The folder is not finished, holds a pickle or names only this machine; the token may not write; the
            repository is somebody else's; the Hub cannot be reached.
        ModelError: The model does not open.
    """
    check_repo_id(repo_id)
    folder = Path(folder)
    subject = read_subject(folder)
    selection = select_files(folder, include)
    api = check_account(repo_id, api=api)
    remote = look(api, repo_id, revision)
    check_may_write(remote, repo_id, identity=subject.identity, update=update)
    base = check_base(api, folder, base_model)
    copies = copy_texts(selection.files, repo_id, base_model=base_model)
    loading = tuple(line.replace(PLACE, repo_id) for line in check_opens(folder, base_model=base))
    if "README.md" not in selection.files:
        copies["README.md"] = Copy(_short_card(loading, base=base_model or adapter_base(folder)), "made here")
    kept = dict(selection.files)
    if card is not None:
        copies |= card_copies(folder, kept, copies, card)
        for path in [path for path in kept if path.startswith(f"{FOLDER}/") and card.dataset_config]:
            del kept[path]  # its name says another configuration; the new one is among the copies
    return plan_files(
        subject,
        repo_id,
        kept,
        copies,
        remote,
        api=api,
        public=public,
        revision=revision,
        update=update,
        left_out=selection.left_out,
        loading=loading,
    )


def plan_files(
    subject: Subject,
    repo_id: str,
    kept: Mapping[str, Path],
    copies: Mapping[str, Copy],
    remote: Remote,
    *,
    api: HfApi | None = None,
    public: bool = False,
    revision: str | None = None,
    update: bool = False,
    left_out: Sequence[tuple[str, int, str]] = (),
    loading: Sequence[str] = (),
) -> PushPlan:
    """Compare files that were chosen with what stands in a repository of any kind.

    Args:
        subject: What is pushed.
        repo_id: ``owner/name``.
        kept: Files by their path in the repository.
        copies: What is sent otherwise than it lies here, or only made for the push.
        remote: Of `nlpladder.hub.remote.look`.
        api: Of a model's repository: is asked which weights the Hub has from a push that was interrupted.
        public: Make a new repository public.
        revision: The branch; by default main.
        update: Write over what is not an earlier push of the same subject.
        left_out: What stays here, for the reader.
        loading: Python lines that open what is pushed.

    Raises:
        RunError: The repository is somebody else's, or was edited on the Hub.
    """
    check_may_write(remote, repo_id, identity=subject.identity, update=update)
    files = [_planned(path, copies.get(path), kept.get(path)) for path in {*kept, *copies}]
    files.append(_marker(subject, files))
    planned = tuple(_with_state(file, remote) for file in sorted(files, key=lambda file: file.path))
    check_may_write(
        remote, repo_id, identity=subject.identity, update=update, changed_there=_edited_there(planned, remote)
    )
    if remote.exists and api is not None:
        weights = {f.sha256: f.size for f in planned if f.state != "there" and f.path.endswith(".safetensors")}
        uploaded = find_uploaded(api, repo_id, weights)
        planned = tuple(replace(f, state="uploaded") if f.sha256 in uploaded else f for f in planned)
    return PushPlan(
        subject=subject,
        repo_id=repo_id,
        revision=revision,
        private=remote.private if remote.exists else not public,
        remote=remote,
        files=planned,
        removed=_in_the_way(planned, remote),
        left_out=tuple(left_out),
        loading=tuple(loading),
    )


def readable_size(size: int) -> str:
    """Return bytes in the unit that suits them."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


def summarised(left_out: Sequence[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
    """Return one line for what a folder holds under one reason, such as all the checkpoints."""
    lines: dict[tuple[str, str], tuple[int, int]] = {}
    for path, size, reason in left_out:
        top, slash, _ = path.partition("/")
        number, total = lines.get((top + slash, reason), (0, 0))
        lines[top + slash, reason] = (number + 1, total + size)
    return [
        (f"{name}*  ({number} files)" if name.endswith("/") else name, total, reason)
        for (name, reason), (number, total) in lines.items()
    ]


def _planned(path: str, copy: Copy | None, source: Path | None) -> PlannedFile:
    if copy is not None or source is None:
        content = b"" if copy is None else copy.content
        sha, blob = hashlib.sha256(content), hashlib.sha1(b"blob %d\0" % len(content) + content)
        return PlannedFile(
            path, content, len(content), sha.hexdigest(), blob.hexdigest(), why="" if copy is None else copy.why
        )
    size = source.stat().st_size
    sha, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size)
    with source.open("rb") as stream:
        while block := stream.read(2**20):
            sha.update(block)
            blob.update(block)
    return PlannedFile(path, source, size, sha.hexdigest(), blob.hexdigest())


def _marker(subject: Subject, files: Sequence[PlannedFile]) -> PlannedFile:
    """Return the file by which the next push knows its own work."""
    import nlpladder

    content: dict[str, Any] = {
        "about": "Written by nlpladder's push_to_hub: which run this is, and the files that it brought.",
        "format_version": MARKER_VERSION,
        "nlpladder": nlpladder.__version__,
        "rung": (subject.record.get("identity") or {}).get("rung"),
        "identity": subject.identity,
        "files": {file.path: {"sha256": file.sha256, "blob_id": file.blob_id, "size": file.size} for file in files},
    }
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    return _planned(MARKER_FILE, Copy(text.encode(), "says which run this is"), None)


def _with_state(file: PlannedFile, remote: Remote) -> PlannedFile:
    there = remote.files.get(file.path)
    state: State = "new" if there is None else "there" if file.equals(there) else "changed"
    return replace(file, state=state)


def _edited_there(files: Sequence[PlannedFile], remote: Remote) -> tuple[str, ...]:
    """Return the files that would be replaced and are not what the last push brought."""
    brought: Mapping[str, Any] = remote.marker.get("files") or {}
    edited = []
    for file in files:
        there, before = remote.files.get(file.path), brought.get(file.path)
        if file.state != "changed" or there is None or file.path == MARKER_FILE:
            continue
        known = before if isinstance(before, dict) else {}
        same = there.sha256 == known.get("sha256") if there.sha256 else there.blob_id == known.get("blob_id")
        if not same:
            edited.append(file.path)
    return tuple(edited)


def _in_the_way(files: Sequence[PlannedFile], remote: Remote) -> tuple[str, ...]:
    """Return files of the repository from which another model would be opened, or that an earlier push brought."""
    ours, brought = {file.path for file in files}, set(remote.marker.get("files") or ())
    return tuple(sorted(path for path in remote.files if path not in ours and (path in brought or is_model_file(path))))


def _short_card(loading: Sequence[str], *, base: str | None) -> bytes:
    """Return a card for a saved model without a run: only how it is opened, since nothing else is known."""
    library = "peft" if base else "transformers" if "transformers" in loading[0] else "nlpladder"
    head = f"library_name: {library}\ntags:\n- nlpladder\n" + (f"base_model: {base}\n" if base else "")
    code = "\n".join(loading)
    return f"---\n{head}---\n\n```python\n{code}\n```\n".encode()
