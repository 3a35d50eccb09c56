"""Neural text classifiers of our own: bag of n-grams, TextCNN, recurrent networks.

`register` makes them known to the Auto classes of transformers.
"""

from __future__ import annotations


def register() -> None:
    """Register every family of this folder with ``AutoConfig`` and ``AutoModelForSequenceClassification``."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from nlpladder.models.classifiers import bag_of_ngrams, recurrent, text_cnn

    for config, model in (
        (bag_of_ngrams.BagOfNgramsConfig, bag_of_ngrams.BagOfNgramsForSequenceClassification),
        (text_cnn.TextCNNConfig, text_cnn.TextCNNForSequenceClassification),
        (recurrent.RecurrentClassifierConfig, recurrent.RecurrentForSequenceClassification),
    ):
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModelForSequenceClassification.register(config, model, exist_ok=True)
