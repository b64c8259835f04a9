"""What is wrong with an environment: pure, from values to values."""
