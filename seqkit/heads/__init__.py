"""Heads: a room per task, with targets, loss, decoding, and the report it is judged by."""
