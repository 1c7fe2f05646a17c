"""data: files to sentences to arrays of numbers to batches."""
