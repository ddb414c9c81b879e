"""A run as a folder and a command: specification, checks, execution, queue."""
