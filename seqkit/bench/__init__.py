"""How fast this machine is, how fast a model is on it, and where the time goes."""
