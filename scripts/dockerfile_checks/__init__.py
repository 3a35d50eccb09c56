"""The parts of ``check_dockerfile.py``: the reader, the builder in an empty root, the server started there."""
