"""The parts of ``check_survival.py``: faults that strike a run at an exact moment."""
