"""Metrics, intervals, paired tests, calibration and error analysis: the same protocol for every rung.

The modules are imported one by one (``from nlpladder.evaluation.intervals import score_predictions``), so that
importing the package costs nothing.
"""
