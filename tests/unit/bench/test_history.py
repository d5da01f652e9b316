import duckdb

from bench.history import EVENTS, batch, lengthen, publishes
from sniffer.model import Position
from sniffer.store.store import Store


def test_a_lengthened_history_is_the_stores_own(tmp_path):
    database = tmp_path / "orders.duckdb"
    with Store(database) as store:
        store.append(batch(1_760_000_000_000_000_000, 1_759_999_999_000_000_000), Position("bench", 1, False, ("bench",)))
    held = lengthen(database, 10_000)
    assert 10_000 <= held < 10_000 + 3 * EVENTS
    opening, times = publishes(database, 1)
    assert opening > 0
    assert len(times) == 1
    with duckdb.connect(str(database), read_only=True) as connection:
        counted = connection.execute(
            "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM order_events), (SELECT count(*) FROM orders_all),"
            " (SELECT count(DISTINCT order_id) FROM orders_all)"
        ).fetchone()
    messages, events, orders, ids = counted
    assert messages == events
    assert orders == ids
    born = EVENTS // 2  # open ones are not put before themselves
    assert messages + events + orders == held + born + 3 * born
