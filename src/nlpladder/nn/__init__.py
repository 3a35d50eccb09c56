"""Shared torch bricks: attention, positions, feed-forward blocks, pooling, losses, masks."""
