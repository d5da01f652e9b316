#!/bin/sh
# The main job, end to end: simulated exchanges and their strategies, recorded live, and the questions that a trader asks.
# Without the privilege to capture, it replays a capture of the same traffic instead. Options go to `python -m strategies.demo`.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
work=.demo
db=$work/orders.duckdb
venues="binance-spot okx bitfinex" # at ports one after the other
port=9443
tls_port=9453
keys=$work/keys
rm -rf "$work"
mkdir -p "$keys"
chmod 700 "$keys"
[ "$(id -u)" -ne 0 ] || [ -z "${SUDO_USER:-}" ] || chown -R "$SUDO_USER:" "$work" # who then decodes and owns the database

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
ask() { say "$1"; shift; sniffer query --db "$db" "$@"; }

may_capture() {
    python -c 'import socket, sys
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
except (AttributeError, OSError):
    sys.exit(1)'
}

record_live() {
    say "Recording live on the loopback interface: 100 assets at three venues, 1.5 orders a second each, half of it over TLS"
    set_ports=
    for offset in 0 1 2; do set_ports="$set_ports --port $((port + offset)) --port $((tls_port + offset))"; done
    sniffer record -i lo $set_ports --keylog "$keys" --db "$db" &
    recorder=$!
    trap 'kill -INT $recorder 2>/dev/null; wait $recorder 2>/dev/null' EXIT
    trap 'exit 130' HUP INT PIPE TERM
    waited=0
    while [ ! -e "$db" ]; do
        kill -0 $recorder 2>/dev/null || exit 1
        sleep 0.1
        waited=$((waited + 1))
        [ $waited -lt 300 ] || { echo "demo: the recording did not start within 30 s" >&2; exit 1; }
    done
    (
        sleep 2
        say "sniffer tail: orders and fills as they come"
        timeout 2 sniffer tail --db "$db" | head -n 12
    ) &
    watcher=$!
    sniffer exec --keylog-dir "$keys" -- \
        python -m strategies.demo --venues $venues --assets 100 --seconds 8 --rate 1.5 --seed 7 \
        --port $port --tls-port $tls_port "$@"
    wait $watcher || true
    kill -INT $recorder
    wait $recorder
    trap - EXIT HUP INT PIPE TERM
}

if may_capture; then
    record_live "$@"
else
    say "This user may not capture live (root or CAP_NET_RAW can), so a capture of the same traffic is replayed instead"
    sniffer replay pcaps/demo/demo.pcapng.gz --db "$db"
fi

ask "What are my open orders?" \
    "SELECT venue, symbol, side, price, quantity, filled_quantity, status, order_id FROM orders WHERE is_open
     QUALIFY row_number() OVER (PARTITION BY venue ORDER BY symbol, price) <= 3 ORDER BY venue, symbol, price"
ask "What filled, and at what price?" \
    "SELECT exchange_time, venue, symbol, side, quantity, price, fee, fee_asset, liquidity, observations FROM fills
     ORDER BY exchange_time DESC LIMIT 9"
ask "How long did an acknowledgement take?" \
    "SELECT venue, count(*) AS orders, round(median(took), 2) AS median_ms, round(quantile_cont(took, 0.99), 2) AS p99_ms
     FROM (SELECT venue, (epoch_ns(acknowledged_at) - epoch_ns(requested_at)) / 1e6 AS took FROM orders)
     WHERE took IS NOT NULL GROUP BY venue ORDER BY venue"
ask "How was it carried, and how is the venue known?" \
    "SELECT protocol, tls_version, readable, venue,
            CASE WHEN venue IS NULL THEN 'market data alone' WHEN venue_guessed THEN 'its messages' ELSE 'the path' END AS known_by,
            count(*) AS connections, sum(messages)::BIGINT AS messages
     FROM connections GROUP BY ALL ORDER BY ALL"
ask "What are the 15-minute candles of my fills?" \
    "SELECT bucket, venue, symbol, open, high, low, close, volume, trades FROM candles(INTERVAL 15 MINUTE)
     ORDER BY trades DESC, symbol LIMIT 8"
ask "Is anything missing?" \
    "SELECT (SELECT count(*) FROM losses) AS losses, sum(messages)::BIGINT AS messages_seen, sum(lost_bytes)::BIGINT AS lost_bytes,
            (SELECT count(*) FROM order_events) AS order_events, (SELECT count(*) FROM fills) AS fills
     FROM connections"
say "The database is $db: open it with any DuckDB client, or ask it with: sniffer query --db $db \"SQL\""
