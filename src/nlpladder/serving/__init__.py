"""``python -m nlpladder serve RUN [RUN …]``: any rung behind an HTTP interface, each model in processes of its own.

A front process (`app`) speaks HTTP, checks what comes, and imports no torch; `pool` holds the queue of each model, puts
requests that arrive together into one batch, and hands batches to the worker processes (`worker`), which open models.
"""
