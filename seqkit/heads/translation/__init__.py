"""Many to many, unaligned: a text from a text, by a decoder with attention."""
