"""What an environment is made of: read, never run."""
