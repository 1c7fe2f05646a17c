"""Many to many, shifted: every frame of keys predicted from those before it."""
