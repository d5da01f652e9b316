"""TLS 1.2 and 1.3 (RFC 5246, RFC 8446), read passively with a key log.

    layer         one connection: both sides, and what it is known as
      sender      one side: records to plaintext, through handshake, keys, holes
        records   bytes cut into records, across segments
        search    after a hole: which record, under which key, with which sequence number
      negotiation what both hellos agreed on, and the key log's secrets for it
    protection    opening a record: AEAD, or CBC with a MAC
    schedule      secrets to keys
    hello         the handshake messages that matter
    suites        the cipher suites

Only what a tag or a MAC has proved is handed on.
"""
