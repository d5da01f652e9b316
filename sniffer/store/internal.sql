-- The schema `_sniffer`: what the store keeps for itself in the file, beside the tables of schema.sql. Not part of the contract.

CREATE TABLE orders (              -- open and recently closed orders; the columns are the slots of orders.Order
    key             BIGINT,
    venue           VARCHAR,
    account         VARCHAR,
    symbol          VARCHAR,
    order_id        VARCHAR,
    client_order_id VARCHAR,
    strategy        VARCHAR,
    side            VARCHAR,
    order_type      VARCHAR,
    time_in_force   VARCHAR,
    status          VARCHAR,
    status_raw      VARCHAR,
    is_open         BOOLEAN,
    price           DECIMAL(38, 18),
    stop_price      DECIMAL(38, 18),
    quantity        DECIMAL(38, 18),
    quantity_unit   VARCHAR,
    filled_quantity DECIMAL(38, 18),
    average_price   DECIMAL(38, 18),
    reason          VARCHAR,
    requested_at    TIMESTAMP_NS,
    acknowledged_at TIMESTAMP_NS,
    updated_at      TIMESTAMP_NS,
    closed_at       TIMESTAMP_NS,
    connection_id   BIGINT,
    request_id      VARCHAR,
    request_item    INTEGER,
    first_at        TIMESTAMP_NS,
    state_time      TIMESTAMP_NS,
    state_at        TIMESTAMP_NS,
    state_position  BIGINT,
    resume_status   VARCHAR,
    former_client_order_id VARCHAR,
    answered        BOOLEAN
);

-- Every table so far is kept in appends: the number of the append that wrote the row.
ALTER TABLE captures ADD COLUMN batch BIGINT;
ALTER TABLE connections ADD COLUMN batch BIGINT;
ALTER TABLE messages ADD COLUMN batch BIGINT;
ALTER TABLE order_events ADD COLUMN batch BIGINT;
ALTER TABLE fill_events ADD COLUMN batch BIGINT;
ALTER TABLE losses ADD COLUMN batch BIGINT;
ALTER TABLE orders ADD COLUMN batch BIGINT;

CREATE TABLE state (               -- one row
    format      INTEGER,           -- of this schema; a newer one is refused
    database_id VARCHAR,           -- stands in the names of sealed files: those of another database are never touched
    folder      VARCHAR,           -- where the views look for sealed files: if the database has moved, they are made again
    batch       BIGINT,            -- the latest append
    next_key    BIGINT,            -- of the next order
    newest      TIMESTAMP_NS       -- the latest wire time of a row
);

CREATE TABLE position (            -- how far each capture has been loaded; committed with its rows
    capture_id  VARCHAR,
    packets     BIGINT,
    complete    BOOLEAN,
    fingerprint VARCHAR[],
    ticked      BIGINT,            -- ns; what time alone brought forth behind these packets is stored up to here
    keyless     VARCHAR[],         -- sides of TLS connections whose records are held for their keys
    digests     VARCHAR[],         -- of times and lengths of these packets, at milestones and of all
    ending      VARCHAR,           -- what the source had lost behind the last one
    options     VARCHAR,           -- --host, --port and --keep
    batch       BIGINT             -- the append that moved it here: of a complete capture, what its end brought forth
);

CREATE TABLE sealed (              -- the Parquet files that belong to this database, and no other file does
    table_name VARCHAR,
    file       VARCHAR,            -- relative to the folder beside the database
    rows       BIGINT,
    max_batch  BIGINT,
    max_time   TIMESTAMP_NS,
    open_rows  BIGINT              -- of orders: how many are open
);

CREATE TABLE superseded (          -- sealed rows of connections and orders that a later row replaces
    table_name VARCHAR,
    key        BIGINT,             -- connection_id, or the order's key
    batch      BIGINT
);
