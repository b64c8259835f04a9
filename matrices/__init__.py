"""The matrix as data: recorded runs, blessed rows and known issues. Nothing here is code."""
