"""heads: one file a task. Loss, decoding, and the metric it is judged by."""
