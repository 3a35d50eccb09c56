"""The parts of ``check_serving.py``: a client, a server as a process, load, faults, fuzz, the table."""
