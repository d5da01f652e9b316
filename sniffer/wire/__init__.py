"""Bytes up the layers, pure: no file, no socket, no clock.

    packet (encapsulation, fragments) -> engine (flow table, opening) -> side -> reassembly
        -> connection -> conversation -> http | websocket (deflate, resync)
                                      -> secured: tls -> conversation

A layer is a plain object: a block of items in, a block out. It knows no neighbour; `conversation.py` composes the layers above
TCP and swaps them when HTTP becomes a websocket, and what TLS protects is a conversation again. Damaged traffic is data, never
an exception that leaves the engine: it becomes a gap, and a loss (`losses.py`).
"""
