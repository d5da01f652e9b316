"""Bytes up the layers, pure: no file, no socket, no clock.

    packet (encapsulation, fragments) -> engine (flow table, opening) -> side -> reassembly
        -> connection -> http | websocket (deflate, resync)

A layer is a plain object: a block of items in, a block out. It knows no neighbour; `connection.py` composes the layers of one
connection and swaps them when HTTP becomes a websocket. Damaged traffic is data, never an exception that leaves the engine:
it becomes a gap, and a loss (`losses.py`).
"""
