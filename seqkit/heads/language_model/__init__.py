"""Many to many, shifted: every unit of a text predicted from those before it."""
