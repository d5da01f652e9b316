"""Captures of TLS, each with its secrets."""
