"""TCP as it is on the wire."""
