-- The contract with users: names, types and meaning. Columns may be added, never renamed or re-typed.
-- Times are UTC. Null means "not said" or "not seen"; a 0 that the venue says stays 0.
-- Prices and quantities: DECIMAL(38, 18), from the venue's own digits, never through a float.
--
-- In the file these tables stand in the schema `_sniffer` and hold the recent rows (each with the number of the append that
-- wrote it); what the user sees in `main` are views of the same names over recent rows and sealed Parquet files.

CREATE TABLE captures (            -- one source: one `replay` call (its files merged by time), or one journal (all its runs)
    capture_id    VARCHAR,         -- from content: a journal's uuid (in its section header), else a digest of the first packets
    source        VARCHAR,         -- file names, or interface and host
    started_at    TIMESTAMP_NS,    -- first packet
    ended_at      TIMESTAMP_NS,    -- last packet so far
    packets       BIGINT,
    bytes         BIGINT,
    kernel_drops  BIGINT           -- dropped by the kernel before the sidecar could see them
);

CREATE TABLE connections (         -- one TCP connection
    connection_id     BIGINT,      -- from content: the same packets give the same id
    capture_id        VARCHAR,
    opened_at         TIMESTAMP_NS,
    closed_at         TIMESTAMP_NS,    -- null while open
    client_ip         VARCHAR,     -- IPv6 without brackets
    client_port       INTEGER,
    server_ip         VARCHAR,
    server_port       INTEGER,
    protocol          VARCHAR,     -- ws, wss, http, https, tls, tcp
    host              VARCHAR,     -- SNI, else the Host header
    path              VARCHAR,     -- of the upgrade request, secrets redacted
    venue             VARCHAR,     -- null: no venue recognised
    venue_guessed     BOOLEAN,     -- recognised by its messages, not by its host
    account           VARCHAR,     -- salted hash of the API or listen key seen, else the configured name
    tls_version       VARCHAR,
    cipher            VARCHAR,
    compression       VARCHAR,     -- the negotiated permessage-deflate parameters
    readable          BOOLEAN,
    unreadable_reason VARCHAR,
    client_bytes      BIGINT,      -- stream bytes that the sequence numbers imply
    server_bytes      BIGINT,
    lost_bytes        BIGINT,      -- of these, holes: never captured whole
    messages          BIGINT,      -- whole messages seen
    unexamined        BIGINT,      -- of these, those that no venue's decoder looked at
    pid               INTEGER,
    process           VARCHAR,
    strategy          VARCHAR,
    unreadable_bytes  BIGINT       -- captured, and could not be read; client_bytes + server_bytes less holes and these were read
);

CREATE TABLE messages (            -- one kept message
    connection_id BIGINT,
    sender        VARCHAR,         -- client, server
    position      BIGINT,          -- ordinal among this sender's readable messages of the connection, control frames included
    first_seen    TIMESTAMP_NS,    -- wire time of the packet that began it
    captured_at   TIMESTAMP_NS,    -- latest wire time among the packets it needed
    opcode        VARCHAR,         -- text, binary, close, ping, pong, http
    http_method   VARCHAR,         -- opcode http only, as are the next two
    http_target   VARCHAR,         -- secrets redacted; some venues carry the whole order here
    http_status   INTEGER,
    payload       VARCHAR,         -- text, secrets redacted
    payload_blob  BLOB,            -- binary, or text that is not UTF-8
    venue         VARCHAR,
    kind          VARCHAR          -- request, response, update, reference (a decoder took state from it), other
);

CREATE TABLE order_events (        -- one order in one message
    connection_id    BIGINT,
    sender           VARCHAR,
    position         BIGINT,
    item             INTEGER,      -- ordinal inside the message
    captured_at      TIMESTAMP_NS,
    exchange_time    TIMESTAMP_NS, -- the venue's time of the event
    venue            VARCHAR,
    account          VARCHAR,
    symbol           VARCHAR,      -- as the venue writes it
    kind             VARCHAR,      -- request, response, update
    action           VARCHAR,      -- place, amend, cancel: what a request asks or a response answers; null on updates
    request_id       VARCHAR,
    client_order_id  VARCHAR,
    order_id         VARCHAR,
    side             VARCHAR,      -- buy, sell
    order_type       VARCHAR,      -- limit, market, stop, stop_limit, trailing_stop, take_profit, ... lower case
    time_in_force    VARCHAR,      -- gtc, ioc, fok, gtd, post_only, ... lower case
    status           VARCHAR,      -- PENDING_NEW NEW PARTIALLY_FILLED FILLED PENDING_CANCEL CANCELED REJECTED EXPIRED PENDING_TRIGGER
    status_raw       VARCHAR,      -- the venue's own word
    price            DECIMAL(38, 18),
    stop_price       DECIMAL(38, 18),
    quantity         DECIMAL(38, 18),
    quantity_unit    VARCHAR,      -- base, quote, contract
    filled_quantity  DECIMAL(38, 18),  -- cumulative
    average_price    DECIMAL(38, 18),
    reason           VARCHAR       -- of a rejection, a cancel, an expiry
);

CREATE TABLE fill_events (         -- one execution in one message; the same execution may be seen more than once
    connection_id    BIGINT,
    sender           VARCHAR,
    position         BIGINT,
    item             INTEGER,
    captured_at      TIMESTAMP_NS,
    exchange_time    TIMESTAMP_NS,
    venue            VARCHAR,
    account          VARCHAR,
    symbol           VARCHAR,
    trade_id         VARCHAR,
    order_id         VARCHAR,
    client_order_id  VARCHAR,
    side             VARCHAR,      -- of the own order
    price            DECIMAL(38, 18),
    quantity         DECIMAL(38, 18),
    quantity_unit    VARCHAR,
    fee              DECIMAL(38, 18),  -- positive: paid; negative: received
    fee_asset        VARCHAR,
    liquidity        VARCHAR       -- maker, taker
);

CREATE TABLE losses (              -- something that could not be read
    capture_id    VARCHAR,
    connection_id BIGINT,          -- null: before any connection was known
    sender        VARCHAR,
    from_time     TIMESTAMP_NS,
    to_time       TIMESTAMP_NS,
    stream_offset BIGINT,          -- of the TCP stream, where the loss begins
    bytes         BIGINT,          -- null: unknown
    messages      BIGINT,          -- null: unknown
    layer         VARCHAR,         -- kernel, capture, tcp, tls, http, websocket, deflate, decoder, store
    reason        VARCHAR
);
