"""From a task's name to its problems, and to a file of them."""
