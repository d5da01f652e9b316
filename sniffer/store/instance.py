"""DuckDB instances that write: one thread, bounded memory, and row groups of Parquet files that end by their bytes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import duckdb


def open_instance(memory: str, temporary: Path) -> duckdb.DuckDBPyConnection:
    """A new instance, without a database of its own. `memory`: its limit, as DuckDB writes it; what does not fit goes to
    the folder `temporary`.

    DuckDB ends a row group by its bytes (`ROW_GROUP_SIZE_BYTES`) only where rows may change places. Those of one thread do not.
    """
    connection = duckdb.connect(
        ":memory:",
        config={"threads": 1, "memory_limit": memory, "temp_directory": str(temporary), "preserve_insertion_order": False},
    )
    with contextlib.suppress(duckdb.Error):  # DuckDB 2.0 has 8 more threads, for reads; each keeps memory of its own
        connection.execute("SET async_threads = 1")
    return connection
