"""Formats of files: bytes ↔ records."""
