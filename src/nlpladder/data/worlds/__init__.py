"""Worlds: built-in data that a small grammar writes, so that the best possible score is known."""
