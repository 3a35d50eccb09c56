"""Word vectors on disk: the formats of word2vec, GloVe, fastText and model2vec."""
