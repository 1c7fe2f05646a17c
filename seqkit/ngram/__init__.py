"""N-grams: counts of them and the probabilities made of these, in plain NumPy; no files, no settings, no torch."""
