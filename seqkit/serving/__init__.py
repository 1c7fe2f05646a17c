"""Processes that answer requests with a model: this one, workers beside it, the processes of one ``torchrun``."""
