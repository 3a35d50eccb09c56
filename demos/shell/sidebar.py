"""The side bar: what models there are, and how one of the Hub is loaded."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pandas as pd

from shell.demo import Demo
from shell.limits import DemoError, check_text

_ABILITIES = {
    "classify": "classifies", "language_model": "predicts text", "masked_language_model": "fills gaps",
    "vectors": "word vectors", "translate": "translates", "attention": "attention", "tag": "tags words",
    "answer": "answers questions", "embed": "encodes texts",
}  # fmt: skip


def build_sidebar() -> dict[str, Any]:
    """Put the parts on the page; `wire_sidebar` connects them when the tabs are there."""
    with gr.Sidebar(label="Models", open=False, width=400, elem_id="sidebar"):
        gr.Markdown("## Models")
        table = gr.Dataframe(
            pd.DataFrame(columns=["model", "kind", "serves"]), label="Models that can be asked", interactive=False,
            wrap=True, max_height=480, elem_id="models-table", column_widths=["40%", "32%", "28%"],
        )  # fmt: skip
        links = gr.Markdown(elem_id="models-links", visible=False)
        refresh = gr.Button("Refresh", size="sm", elem_id="refresh")
        with gr.Group() as hub:
            repo_id = gr.Textbox(label="Load from the Hub", placeholder="owner/name", max_lines=1, elem_id="hub-id")
            revision = gr.Textbox("", label="Revision (optional)", placeholder="main", max_lines=1)
            cached = gr.Checkbox(True, label="Only what was downloaded before", info="Untick to ask the Hub.")
            load = gr.Button("Load", size="sm", elem_id="hub-load")
    return {
        "table": table, "links": links, "refresh": refresh, "hub": hub, "repo_id": repo_id, "revision": revision,
        "cached": cached, "load": load,
    }  # fmt: skip


def wire_sidebar(demo: Demo, page: gr.Blocks, parts: dict[str, Any]) -> None:
    """Connect the side bar with the pickers of all tabs."""
    pickers = demo.changes_of_models()

    def refresh_models() -> tuple[Any, ...]:
        """Look again which models lie under the models folder.

        Returns:
            A table of the models: name, kind, what each serves.
        """
        demo.store.refresh()
        return (models_table(demo), *demo.new_choices(), links_text(demo))

    def load_from_hub(repo_id: str, revision: str, cached_only: bool) -> tuple[Any, ...]:
        """List a model of the Hugging Face Hub, so that the tabs can ask it.

        Args:
            repo_id: Its id, owner/name.
            revision: Branch, tag or commit; empty for the newest.
            cached_only: Take it only where it was downloaded before; asks no network.

        Returns:
            A table of the models: name, kind, what each serves.
        """
        if not demo.options.offers_hub:
            raise DemoError("This demo loads no models of the Hub; who runs it can allow that with --allow_hub true.")
        entry = demo.store.add_from_hub(
            check_text(repo_id, "The Hub id", most=200).strip(),
            revision=check_text(revision, "The revision", most=200, empty=True).strip() or None,
            cached_only=bool(cached_only),
        )
        return (models_table(demo), *demo.new_choices(entry.name), links_text(demo))

    outputs = [parts["table"], *pickers, parts["links"]]
    demo.action(parts["refresh"].click, refresh_models, [], outputs, api_name="models", keeps_answers=True)
    demo.action(
        [parts["load"].click, parts["repo_id"].submit], load_from_hub,
        [parts["repo_id"], parts["revision"], parts["cached"]], outputs, api_name="load_from_hub", keeps_answers=True,
    )  # fmt: skip
    demo.plumbing(
        page.load, lambda: (models_table(demo), links_text(demo)), [], [parts["table"], parts["links"]],
        show_progress="hidden",
    )  # fmt: skip
    parts["hub"].visible = demo.options.offers_hub


def links_text(demo: Demo) -> Any:
    """Return an update of the line on links that were not followed; hidden where there are none."""
    # In code marks, where Markdown has no other meaning: a name may hold anything.
    names = ", ".join(f"`{' '.join(name.replace('`', '').split())}`" for name in demo.store.skipped)
    text = f"Links are not followed: {names}. Start the demo on the folder itself, or move it here." if names else ""
    return gr.update(value=text, visible=bool(text))


def models_table(demo: Demo) -> pd.DataFrame:
    """Return name, kind and abilities of all models."""
    rows = [
        [entry.name, entry.title, ", ".join(text for name, text in _ABILITIES.items() if name in entry.abilities)]
        for entry in demo.store.entries()
    ]
    return pd.DataFrame(rows, columns=["model", "kind", "serves"])
