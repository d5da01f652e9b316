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
