"""What scripts/benchmark.py measures: a file a row of the table, and its peers."""
