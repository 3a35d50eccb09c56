"""Word vectors and what is built on them."""
