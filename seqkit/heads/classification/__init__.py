"""Many to one: a label, or several, for a whole text."""
