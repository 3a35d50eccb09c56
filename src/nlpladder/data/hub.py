"""Loading from the Hugging Face Hub, with one helpful sentence for everything that can go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlpladder.errors import DataError

#: Old bare names, whose loading scripts no longer run, and the parquet data sets that replace them.
NAMESPACED: Mapping[str, str] = {
    "ag_news": "fancyzhx/ag_news",
    "amazon_polarity": "fancyzhx/amazon_polarity",
    "amazon_reviews_multi": "mteb/amazon_reviews_multi",
    "banking77": "PolyAI/banking77",
    "bookcorpus": "bookcorpus/bookcorpus",
    "civil_comments": "google/civil_comments",
    "cnn_dailymail": "abisee/cnn_dailymail",
    "conll2003": "eriktks/conll2003",
    "dbpedia_14": "fancyzhx/dbpedia_14",
    "emotion": "dair-ai/emotion",
    "financial_phrasebank": "takala/financial_phrasebank",
    "glue": "nyu-mll/glue",
    "go_emotions": "google-research-datasets/go_emotions",
    "imdb": "stanfordnlp/imdb",
    "multi_nli": "nyu-mll/multi_nli",
    "ptb_text_only": "ptb-text-only/ptb_text_only",
    "rotten_tomatoes": "cornell-movie-review-data/rotten_tomatoes",
    "sms_spam": "ucirvine/sms_spam",
    "snli": "stanfordnlp/snli",
    "squad": "rajpurkar/squad",
    "sst2": "stanfordnlp/sst2",
    "super_glue": "aps/super_glue",
    "trec": "CogComp/trec",
    "tweet_eval": "cardiffnlp/tweet_eval",
    "wikitext": "Salesforce/wikitext",
    "xnli": "facebook/xnli",
    "yelp_polarity": "fancyzhx/yelp_polarity",
    "yelp_review_full": "Yelp/yelp_review_full",
}


def load_hub_splits(
    repo_id: str, *, config: str | None, revision: str | None, streaming: bool = False
) -> dict[str, Any]:
    """Load all splits of a data set on the Hub; code of the data set is never run.

    Args:
        repo_id: ``"namespace/name"``.
        config: The name of the configuration, where the data set has several.
        revision: A branch, tag or commit.
        streaming: Whether to return `IterableDataset` splits.

    Returns:
        The splits by their name in the source.

    Raises:
        DataError: Offline, not found, gated, a loading script, or a missing or unknown configuration.
    """
    import datasets

    quiet = datasets.utils.logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        return dict(datasets.load_dataset(repo_id, config, revision=revision, streaming=streaming))
    except Exception as error:
        raise DataError(hub_sentence(repo_id, config, error)) from error
    finally:
        if quiet:
            datasets.enable_progress_bars()


def hub_sentence(repo_id: str, config: str | None, error: Exception) -> str:
    """Word one sentence for an error of `datasets.load_dataset`."""
    name, reason = type(error).__name__, " ".join(str(error).split())[:300]
    instead = NAMESPACED.get(repo_id, "")
    renamed = f" Its name today is {instead!r}: use that." if instead else ""
    if "gated" in reason.lower() or name == "GatedRepoError":
        return (
            f"The data set {repo_id!r} is gated: accept its terms on huggingface.co/datasets/{repo_id} and log in with "
            "`hf auth login`."
        )
    if "Config name is missing" in reason:
        return f"The data set {repo_id!r} has several configurations: choose one with --dataset_config. {reason}"
    if "BuilderConfig" in reason and "not found" in reason:
        return f"The data set {repo_id!r} has no configuration {config!r}. {reason}"
    if "script" in reason.lower() and ("no longer supported" in reason or "support" in reason):
        parquet = (
            renamed or " Look for a parquet copy (revision 'refs/convert/parquet' may hold one), or save it as files."
        )
        return f"The data set {repo_id!r} consists of a loading script, which is not run.{parquet}"
    if isinstance(error, ConnectionError) or "offline" in reason.lower() or name in ("OfflineModeIsEnabled",):
        return (
            f"The Hub cannot be reached to load {repo_id!r} ({reason}).{renamed} Without a network use a local file or "
            f"folder, or the built-in world:reviews; if {repo_id!r} was meant as a path, nothing exists there."
        )
    if isinstance(error, FileNotFoundError) or name in ("RepositoryNotFoundError", "HfHubHTTPError"):
        return (
            f"There is no data set {repo_id!r} on the Hub, and no file or folder of that name ({reason}).{renamed} "
            "Hub names are written namespace/name; a private one needs `hf auth login`."
        )
    return f"The data set {repo_id!r} cannot be loaded from the Hub ({name}: {reason}).{renamed}"
