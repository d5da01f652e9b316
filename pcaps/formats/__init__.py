"""Capture file formats."""
