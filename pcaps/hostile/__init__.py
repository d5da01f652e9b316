"""Broken files and hostile traffic."""
