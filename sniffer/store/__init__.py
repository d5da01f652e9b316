"""Rows into DuckDB, and out of it: the writer of a database, and what its readers use."""
