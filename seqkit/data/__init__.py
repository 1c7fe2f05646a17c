"""data: files to sentences to arrays of numbers to batches.

Whatever bytes a reader is given, it gives records or raises a `DataError` of at most 2,000 characters: no other
exception, time in proportion to the bytes, and while it reads at most 512 bytes of memory for a byte of the longest
sentence (or of the quarter megabyte that is decoded at once, where that is longer). Records that are kept take up to
1,000 bytes for a byte of the file, those of blank lines the most. What the header of vectors or of an array promises is
believed only where it fits in the file.
"""
