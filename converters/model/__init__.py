"""What XTTS is: its files, tensors and configuration."""
