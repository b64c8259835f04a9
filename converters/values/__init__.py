"""What a checkpoint is read into: inert values, and how much of them there may be."""
