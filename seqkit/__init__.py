"""One recurrent encoder under four heads: tag, classify, model and generate sequences."""

__version__ = "0.1.0"
