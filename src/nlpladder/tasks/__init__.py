"""What a climb can be about: how a rung of a task is trained, scored and compared; one module a task."""
