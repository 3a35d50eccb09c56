"""Figures and escaped HTML from plain arrays. Nothing here knows a model."""
