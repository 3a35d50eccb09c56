"""Foreign weights in our Transformer: Marian, GPT-2, Llama and BERT differ from it by names and by choices only.

`load_foreign` opens them. Each family is one file: its table of names, and how its config reads in our terms.
"""

from __future__ import annotations

from nlpladder.models.transformer.foreign.loading import load_foreign

__all__ = ["load_foreign"]
