"""The command that pushes a run to the Hub, and what it would send; the demo itself sends nothing."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from nlpladder.hub.card_fields import check_languages, check_license
from nlpladder.hub.publish_options import check_repo_id
from nlpladder.hub.push_plan import readable_size, summarised
from nlpladder.hub.push_preview import PushPreview, preview_push
from shell.limits import check_text
from tabs.runs_reading import Run
from tabs.runs_tables import harmless_markdown

FILE_HEADER = ["file", "size", "remark"]
_FRONT = "---\n"
#: Stands in the command for the visitor's name on the Hub.
PLACEHOLDER = "YOUR-NAME"
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")


def push_command(
    run: Run,
    repo_id: str,
    *,
    models_dir: str,
    public: bool = False,
    license: str = "",
    language: str = "",
    base_model: str = "",
) -> str:
    """Return the command, each part quoted for the shell.

    Args:
        run: What is pushed.
        repo_id: ``owner/name``; empty puts `PLACEHOLDER` there.
        models_dir: How the models folder is called in the command.
        public: Make a new repository public; without it, it is private.
        license: Of the model; empty leaves it out.
        language: Codes, comma-separated; empty leaves it out.
        base_model: Of an adapter, the Hub id of its base; empty leaves it out.

    Raises:
        ConfigError: A name, a licence or a language is none.
        DemoError: A text is too long.
    """
    parts = ["python", "scripts/push_to_hub.py", f"{models_dir}/{run.name}" if run.name != "." else models_dir]
    repo_id = check_text(repo_id, "Repository", most=200, empty=True).strip()
    parts.append(check_repo_id(repo_id) if repo_id else f"{PLACEHOLDER}/{_repository_name(run)}")
    if public:
        parts.append("--public")
    if license.strip():
        parts += ["--license", check_license(check_text(license, "Licence", most=60).strip(), option_name="license")]
    if language.strip():
        codes = check_languages(check_text(language, "Languages", most=100).strip(), option_name="language")
        parts += ["--language", ",".join(codes)]
    if base_model.strip():
        base = check_text(base_model, "Base model", most=200).strip()
        parts += ["--base_model", check_repo_id(base, option_name="base_model")]
    return " ".join(shlex.quote(part) for part in parts)


def _repository_name(run: Run) -> str:
    """Return a name that a repository may have: the last part of the run's that says what it is."""
    parts = [part for part in run.name.split("/") if not re.fullmatch(r"seed-\d+|model|\.", part)]
    return _NO_NAME.sub("-", parts[-1] if parts else "").strip("-_") or "model"


def look_at(run: Run, repo_id: str, base_model: str) -> PushPreview:
    """Return what would be sent, as far as this machine knows.

    Args:
        run: What would be pushed.
        repo_id: ``owner/name``; empty where it is not known.
        base_model: Of an adapter, the Hub id of its base; empty for none.
    """
    return preview_push(run.folder, repo_id.strip() or None, base_model=base_model.strip() or None)


def file_rows(preview: PushPreview) -> list[list[str]]:
    """Return what would be sent and what stays here, as rows; see `FILE_HEADER`."""
    sent = [[file.path, readable_size(file.size), file.why or "sent as it is"] for file in preview.files]
    kept = [[path, readable_size(size), f"stays here: {why}"] for path, size, why in summarised(preview.left_out)]
    return sent + kept


def verdict(preview: PushPreview, models_dir: Path, *, unnamed: bool = False) -> str:
    """Say whether anything here stands in the way, as Markdown.

    Args:
        preview: What was seen.
        models_dir: Its path is not shown.
        unnamed: Whether the visitor has not said yet where it would go.
    """
    if preview.stops:
        reasons = "\n".join(f"- {stop}" for stop in preview.stops).replace(f"{models_dir}/", "")
        return harmless_markdown(f"**Not yet.** The push would be refused:\n\n{reasons}")
    kept = len(preview.left_out)
    first = "**Put your name first:** write the repository above, owner/name." if unnamed else "**Ready.**"
    return harmless_markdown(
        f"{first} {len(preview.files)} files, {readable_size(preview.num_bytes)}, would be sent; {kept} stay here. "
        "The command shows the whole plan and asks before it sends anything. It also opens the model once, and looks "
        "at what stands in the repository."
    )


def card_preview(preview: PushPreview) -> tuple[str, str]:
    """Return the head of the card (YAML, as code) and its text (Markdown without pictures and HTML)."""
    card = preview.card.replace("\r\n", "\n")
    if card.startswith(_FRONT) and f"\n{_FRONT}" in card[len(_FRONT) :]:
        head, _, text = card[len(_FRONT) :].partition(f"\n{_FRONT}")
    else:
        head, text = "", card
    return head, harmless_markdown(text)
