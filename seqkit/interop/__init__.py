"""What other libraries' objects are in seqkit's terms; none of these libraries has to be installed."""
