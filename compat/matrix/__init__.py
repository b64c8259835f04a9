"""What is known: runs, rows and known issues, read from data."""
