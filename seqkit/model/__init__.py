"""Vocabularies + embedding + encoder + head as one artefact: build, save, load, use. A class for each task."""

from seqkit.model.base import Model
from seqkit.model.loading import load

__all__ = ["Model", "load"]
