"""lab: what networks do, made visible: gradients, memory, gates, cells compared. Each gives a picture and JSON."""
