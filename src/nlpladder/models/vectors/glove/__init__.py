"""Training by counting: co-occurrences and their factorisation."""
