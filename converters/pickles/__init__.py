"""Pickles as data: read by a machine that calls nothing, and written."""
