"""Watching what a served model is asked: a profile of held-out data, and windows of traffic compared with it.

Training writes `nlpladder.drift.profile.PROFILE_FILE` into the run folder; the server opens a
`nlpladder.drift.monitor.DriftMonitor` on it. Nothing here imports torch.
"""
