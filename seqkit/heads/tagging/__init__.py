"""Many to many, aligned: a label for every token."""
