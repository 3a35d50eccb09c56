"""Pushing a finished run to the Hub: plan, ask, send, read back.

Large files go first; the repository changes in one commit at the end, built on the commit that the plan saw. So nobody
ever meets half a model, a change in between is a conflict and not an overwrite, and after an interruption the same
command goes on: what was uploaded stays with the Hub and is skipped.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlpladder.errors import CheckFailedError, RunError
from nlpladder.hub.account import (
    explain_hub_error,
    is_transport_error,
    open_api,
    patiently,
    reason_of,
    scrub,
    status_of,
    wait_before_retry,
)
from nlpladder.hub.cards import CardOptions
from nlpladder.hub.publish_options import PublishOptions
from nlpladder.hub.push_plan import PlannedFile, PushPlan, plan_push, readable_size
from nlpladder.hub.remote import list_files, look

if TYPE_CHECKING:
    from huggingface_hub import HfApi

#: Files that are no LFS objects travel inside the commit; the Hub refuses larger ones.
_LARGEST_REGULAR_FILE = 10 * 2**20
_TRIES = 5


@dataclass(frozen=True)
class PushResult:
    """What a push did.

    Attributes:
        repo_id: Where the model is.
        commit: Of the Hub, that holds it.
        sent: Paths that were sent.
        skipped: Paths that were there.
        bytes_sent: Of them.
        seconds: From the first request to the last check.
        loading: Python lines that open the model.
    """

    repo_id: str
    commit: str
    sent: tuple[str, ...]
    skipped: tuple[str, ...]
    bytes_sent: int
    seconds: float
    loading: tuple[str, ...]

    def describe(self) -> str:
        """Return the result for a reader."""
        if self.sent:
            what = f"sent {len(self.sent)} files ({readable_size(self.bytes_sent)}) in {self.seconds:.1f} s"
        else:
            what = "nothing had to be sent"
        lines = [
            f"Pushed to {self.repo_id}, commit {self.commit[:12]}: {what}; {len(self.skipped)} were there already. "
            "Every file was read back with the right checksum.",
            "Load it with:",
            *(f"    {line}" for line in self.loading),
        ]
        return "\n".join(lines)


def push(plan: PushPlan, *, api: HfApi | None = None, fresh: Callable[[], HfApi] = open_api) -> PushResult:
    """Carry out a plan.

    Args:
        plan: Of `plan_push`.
        api: By default a new client.
        fresh: Makes the client that reads back, which must know nothing of the one that wrote.

    Raises:
        RunError: The repository changed since the plan, a file here did, or the Hub cannot be reached or says no.
        CheckFailedError: What stands on the Hub afterwards is not what was sent.
    """
    api = fresh() if api is None else api
    started = time.perf_counter()
    head = _prepare_repository(api, plan)
    commit = head if plan.nothing_to_do else _send(api, plan, head)
    _read_back(plan, commit, fresh())
    return PushResult(
        repo_id=plan.repo_id,
        commit=commit,
        sent=tuple(file.path for file in plan.to_send),
        skipped=tuple(file.path for file in plan.files if file.state == "there"),
        bytes_sent=sum(file.size for file in plan.to_send),
        seconds=time.perf_counter() - started,
        loading=plan.loading,
    )


def publish(
    folder: str | Path,
    options: PublishOptions,
    *,
    ask: Callable[[str], bool] | None = None,
    say: Callable[[str], None] | None = None,
) -> str:
    """Push a finished run as a recipe's options say: the plan is printed, then asked for, then carried out.

    Args:
        folder: The run folder.
        options: With ``push_to_hub`` set.
        ask: Called with a question; by default asks in the terminal.
        say: Called with the plan; by default prints it.

    Returns:
        What was done, for printing.

    Raises:
        RunError: See `plan_push` and `push`; also without a terminal and without ``hub_yes``.
    """
    if options.push_to_hub is None:
        raise RunError("There is no repository to push to: say --push_to_hub user/name.")
    api = open_api()
    try:
        plan = plan_push(
            folder,
            options.push_to_hub,
            api=api,
            public=options.hub_public,
            revision=options.hub_revision,
            update=options.hub_update,
            base_model=options.hub_base_model,
            include=options.hub_include,
            card=CardOptions(
                license=options.hub_license, language=options.hub_language, dataset_config=options.hub_dataset_config
            ),
        )
        (say or _print)(scrub(plan.describe(), api.token))
        if not plan.nothing_to_do and not options.hub_yes and not (ask or _ask)("Push this?"):
            return "Nothing was sent."
        return scrub(push(plan, api=api).describe(), api.token)
    except KeyboardInterrupt:
        sys.stderr.write("\nThe push was interrupted; start it again to go on: what was uploaded is skipped.\n")
        raise


def _prepare_repository(api: HfApi, plan: PushPlan) -> str:
    """Make the repository or the branch where there is none; return the commit to build on."""
    what = f"making {plan.repo_id}"
    if not plan.remote.exists:
        try:
            patiently(lambda: _create(api, plan), what=what)
        except RunError as error:
            if status_of(error.__cause__ or error) == 409:
                raise RunError(f"{plan.repo_id} was made by somebody else since the plan. Push again.") from error
            raise
        plan_head = look(api, plan.repo_id).head
    else:
        plan_head = plan.remote.head if plan.revision is None or plan.remote.head else look(api, plan.repo_id).head
    if plan.revision is not None and plan.remote.head is None:
        branch = plan.revision
        patiently(lambda: api.create_branch(plan.repo_id, branch=branch, exist_ok=True), what=f"making branch {branch}")
    if plan_head is None:
        raise RunError(f"{plan.repo_id} has no commit to build on. Look at it on the Hub, then push again.")
    return plan_head


def _create(api: HfApi, plan: PushPlan) -> None:
    """Make the repository; one that this very push has made, with the answer lost, is taken over."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        api.create_repo(plan.repo_id, private=plan.private, exist_ok=False)
    except HfHubHTTPError as error:
        if status_of(error) != 409:
            raise
        found = look(api, plan.repo_id)
        if found.files or found.private != plan.private:
            raise


def _send(api: HfApi, plan: PushPlan, head: str) -> str:
    """Upload the large files, then make the commit; return its id."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    additions = [
        CommitOperationAdd(file.path, file.source if isinstance(file.source, bytes) else str(file.source))
        for file in plan.to_send
    ]
    what = f"uploading to {plan.repo_id}"
    for file, addition in zip(plan.to_send, additions, strict=True):
        if addition.upload_info.size != file.size or _changed(file):
            raise RunError(f"{file.path} was changed here since the plan. Push again.")
    patiently(
        lambda: api.preupload_lfs_files(
            plan.repo_id, additions=additions, revision=plan.revision, free_memory=False, num_threads=4
        ),
        what=what,
        tries=2,  # the client itself tries five times
    )
    for addition in additions:
        regular = getattr(addition, "_upload_mode", None) == "regular"
        if regular and addition.upload_info.size > _LARGEST_REGULAR_FILE:
            raise RunError(
                f"{addition.path_in_repo} has {readable_size(addition.upload_info.size)} and the repository does not "
                "keep such files as LFS objects. Add its pattern to the repository's .gitattributes first."
            )
    operations = [*additions, *(CommitOperationDelete(path, is_folder=False) for path in plan.removed)]
    return _commit(api, plan, head, operations)


def _changed(file: PlannedFile) -> bool:
    """Tell whether a file here is not the one that was planned; large ones are known by their size alone."""
    if isinstance(file.source, bytes) or file.size > _LARGEST_REGULAR_FILE:
        return False
    from nlpladder.hub.push_checks import sha256_of

    return sha256_of(file.source) != file.sha256


def _commit(api: HfApi, plan: PushPlan, head: str, operations: list[Any]) -> str:
    """Make the commit. When the answer is lost it is looked whether the commit was made: it must not be made twice."""
    what = f"writing the commit to {plan.repo_id}"
    for number in range(1, _TRIES + 1):
        try:
            return str(
                api.create_commit(
                    plan.repo_id,
                    operations=operations,
                    commit_message=f"Push {plan.subject.title} with nlpladder",
                    revision=plan.revision,
                    parent_commit=head,
                ).oid
            )
        except Exception as error:
            unsure = is_transport_error(error) or (status_of(error) or 0) >= 500 or status_of(error) == 412
            if unsure:
                now = look(api, plan.repo_id, plan.revision)
                if now.head and now.head != head and all(file.equals(now.files.get(file.path)) for file in plan.files):
                    return now.head
            wait = wait_before_retry(error, number)
            if wait is None or number == _TRIES:
                raise explain_hub_error(error, what=what) from error
            sys.stderr.write(f"The Hub: {reason_of(error)} while {what}; trying again in {wait:.0f} s.\n")
            time.sleep(wait)
    raise AssertionError("unreachable")


def _read_back(plan: PushPlan, commit: str, api: HfApi) -> None:
    """Ask the Hub with a new client for the checksum of every file of the commit.

    Raises:
        CheckFailedError: One is missing or differs.
    """
    found = list_files(api, plan.repo_id, commit)
    wrong = [file.path for file in plan.files if not file.equals(found.get(file.path))]
    wrong += [path for path in plan.removed if path in found]
    if wrong:
        raise CheckFailedError(
            f"Commit {commit[:12]} of {plan.repo_id} does not hold what was sent: {', '.join(wrong[:5])}. Push again."
        )


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _ask(question: str) -> bool:
    """Ask in the terminal.

    Raises:
        RunError: There is none.
    """
    if not sys.stdin.isatty():
        raise RunError(
            "Nothing was sent: there is no terminal to ask in. Say --yes (--hub_yes in a recipe) to push this plan."
        )
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
