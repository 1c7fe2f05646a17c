"""Objects of other libraries in seqkit's types; none of these libraries needs to be installed."""
