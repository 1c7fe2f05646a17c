"""Data sets: cards, catalogue, fetching, splits, checks, statistics."""
