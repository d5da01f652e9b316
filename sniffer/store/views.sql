-- What a user asks for, over the views of the tables. `orders_all` and `_sniffer.orders_at_hand` (its rows in all files that may hold
-- open orders or ones of the last 24 hours) are made by sealed.py, as they name files.

CREATE OR REPLACE VIEW orders AS   -- measured from the newest row, so that an old capture shows its orders too
SELECT * FROM _sniffer.orders_at_hand
WHERE is_open OR updated_at >= (SELECT make_timestamp_ns(epoch_ns(newest) - 86_400_000_000_000) FROM _sniffer.state);

CREATE OR REPLACE VIEW fills AS    -- the sighting with the fee, then the earliest; an execution without trade id is never merged
SELECT
    best.connection_id, best.sender, best.position, best.item,
    seen.captured_at, seen.exchange_time, best.venue, best.account, best.symbol, best.trade_id, best.order_id, seen.client_order_id,
    best.side, best.price, best.quantity, best.quantity_unit, best.fee, best.fee_asset, seen.liquidity,
    connections.strategy,
    seen.observations,
    best.price::DOUBLE AS price_f,
    best.quantity::DOUBLE AS quantity_f,
    best.price::DOUBLE * best.quantity::DOUBLE AS notional
FROM (
    SELECT
        arg_min(event, rank) AS best,
        -- what the best sighting does not say, another may: arg_min passes over nulls
        arg_min(event.exchange_time, rank) AS exchange_time,
        arg_min(event.client_order_id, rank) AS client_order_id,
        arg_min(event.liquidity, rank) AS liquidity,
        min(captured_at) AS captured_at,
        count(*) AS observations
    FROM (
        SELECT *, (fee IS NULL, captured_at, connection_id, sender, position, item) AS rank FROM fill_events
    ) AS event
    GROUP BY
        venue, account, symbol, trade_id, order_id, side,
        CASE WHEN venue = 'hyperliquid' THEN exchange_time END,  -- "for a globally unique trade id, use (block_time, coin, tid)"
        CASE WHEN trade_id IS NULL THEN (connection_id, sender, position, item) END
) AS seen
LEFT JOIN connections ON connections.connection_id = seen.best.connection_id;

-- time_bucket would round nanoseconds to microseconds, and so into the next bucket: they are cut off first.
CREATE OR REPLACE MACRO candles(width) AS TABLE
SELECT
    time_bucket(width, make_timestamp(epoch_ns(coalesce(exchange_time, captured_at)) // 1000)) AS bucket,
    venue,
    symbol,
    arg_min(price, (coalesce(exchange_time, captured_at), length(trade_id), trade_id, captured_at, position, item)) AS open,
    max(price) AS high,
    min(price) AS low,
    arg_max(price, (coalesce(exchange_time, captured_at), length(trade_id), trade_id, captured_at, position, item)) AS close,
    sum(quantity) AS volume,
    sum(notional) AS notional,
    count(*) AS trades
FROM fills
GROUP BY ALL
ORDER BY ALL;

-- Was everything seen? One row for each minute (UTC) of each connection's life. A loss without a connection (the kernel's, the
-- journal's) counts for every connection of its capture; bytes and messages count in the first of the minutes that a loss spans.
-- A loss of nothing (checksums that nobody could verify) is a remark, and leaves a minute complete.
CREATE OR REPLACE VIEW completeness AS
WITH lives AS (
    SELECT
        connections.connection_id, capture_id, venue, host, readable,
        opened_at AS opened, coalesce(closed_at, captures.ended_at, opened_at) AS closed
    FROM connections LEFT JOIN captures USING (capture_id)
),
troubles AS (
    SELECT connection_id, coalesce(from_time, to_time) AS since, coalesce(to_time, from_time) AS until, bytes, messages
    FROM losses
    WHERE connection_id IS NOT NULL AND (bytes IS DISTINCT FROM 0 OR messages IS DISTINCT FROM 0)
    UNION ALL
    SELECT lives.connection_id, greatest(opened, coalesce(from_time, to_time, opened)),
        least(closed, coalesce(to_time, from_time, closed)), bytes, messages
    FROM losses JOIN lives USING (capture_id)
    WHERE losses.connection_id IS NULL AND (bytes IS DISTINCT FROM 0 OR messages IS DISTINCT FROM 0)
        AND coalesce(from_time, opened) <= closed AND coalesce(to_time, closed) >= opened
),
minutes AS (
    SELECT connection_id, venue, host, readable, unnest(generate_series(
        date_trunc('minute', opened::TIMESTAMP), date_trunc('minute', greatest(opened, closed)::TIMESTAMP), INTERVAL 1 MINUTE
    )) AS minute
    FROM lives
),
lost AS (
    SELECT connection_id, bytes, messages, date_trunc('minute', since::TIMESTAMP) AS first, unnest(generate_series(
        date_trunc('minute', since::TIMESTAMP), date_trunc('minute', greatest(since, until)::TIMESTAMP), INTERVAL 1 MINUTE
    )) AS minute
    FROM troubles
)
SELECT
    minute, venue, connection_id, host, readable,
    count(lost.connection_id) AS losses,
    coalesce(sum(lost.bytes) FILTER (minute = first), 0)::BIGINT AS lost_bytes,
    coalesce(sum(lost.messages) FILTER (minute = first), 0)::BIGINT AS lost_messages,
    readable AND count(lost.connection_id) = 0 AS complete
FROM minutes LEFT JOIN lost USING (connection_id, minute)
GROUP BY minute, venue, connection_id, host, readable;
