"""The parts of ``check_gradients.py``: rows, models and collators of each task."""
