"""Bytes in and out: sources, outputs, copying."""
