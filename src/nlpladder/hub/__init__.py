"""The way out: opening any rung, and the cards that travel with it."""
