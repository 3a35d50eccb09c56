"""The suites of ``benchmark.py``, one module each, and what they share."""
