"""Many to fewer: a text from a long sequence of vectors."""
