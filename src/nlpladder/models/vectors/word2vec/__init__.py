"""Training by prediction: skip-gram, CBOW and fastText."""
