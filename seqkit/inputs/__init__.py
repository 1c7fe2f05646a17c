"""Inputs: records → arrays, once → batches → vectors [B, T, I]."""
