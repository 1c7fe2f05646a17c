"""One to many: a text from labels, numbers, other texts."""
