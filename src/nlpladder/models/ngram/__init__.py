"""n-gram language models: counting, smoothing, tables, scoring, ARPA files, mixtures."""
