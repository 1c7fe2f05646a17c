"""cli: click commands, one file a task, each a thin adapter over a plain function."""
