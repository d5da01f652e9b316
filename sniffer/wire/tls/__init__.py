"""TLS 1.2 and 1.3 (RFC 5246, RFC 8446), read passively with a key log.

    layer         one connection: both sides, and what it is known as
      reader      one side: records to plaintext, waiting, searching
        progress  how far its handshake has come
        recovery  which keys the next record may have, where that is not certain
        search    which record opens, under which of them, with which sequence number
        records   a record under way, and items that wait
      negotiation what both hellos agreed on, and the key log's secrets for it
    protection    opening a record: AEAD, or CBC with a MAC
    schedule      secrets to keys
    hello         the handshake messages that matter
    suites        the cipher suites
    reasons       why something could not be read

Only what a tag or MAC has proved is handed on.
"""
