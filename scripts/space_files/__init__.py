"""The parts of ``build_space.py``: what a Space with nlpladder's demo consists of."""
