"""Bag-of-words models: vectorisers that count, weight or hash terms, and the linear classifiers on top of them.

Import from the modules, for example ``from nlpladder.models.counts.vectorizer import TfidfVectorizer``.
"""
