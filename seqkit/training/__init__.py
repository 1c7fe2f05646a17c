"""training: one loop for all tasks, with its optimisers, schedules, checkpoints and progress."""
