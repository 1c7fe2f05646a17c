"""Input + encoder + head as one artefact: build, save, load, predict."""
