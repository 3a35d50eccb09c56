"""Which models have no torch module, and where their classes are; they are built from their arrays alone."""

from __future__ import annotations

#: ``model_type`` of the artefacts without a torch module -> where their class is.
ARTEFACTS: dict[str, str] = {
    "nlpladder_majority": "nlpladder.models.counts.majority:MajorityClassifier",
    "nlpladder_naive_bayes": "nlpladder.models.counts.naive_bayes:NaiveBayesClassifier",
    "nlpladder_linear": "nlpladder.models.counts.linear:LinearTextClassifier",
    "nlpladder_mean_vectors": "nlpladder.models.vectors.mean_vectors:MeanVectorsClassifier",
    "model2vec": "nlpladder.models.vectors.word_vectors:WordVectors",
    "nlpladder_ngram": "nlpladder.models.ngram.model:NGramLanguageModel",
    "nlpladder_ngram_interpolation": "nlpladder.models.ngram.interpolation:InterpolatedLanguageModel",
    "nlpladder_ngram_cache": "nlpladder.models.ngram.cache:CacheLanguageModel",
    "nlpladder_onnx_classifier": "nlpladder.models.onnx.classifier:OnnxClassifier",
}
