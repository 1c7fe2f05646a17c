"""N-grams: their counts and smoothed probabilities, in plain NumPy; no files, no settings, no torch."""
