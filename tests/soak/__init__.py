"""A soak: hours of a recording in minutes, under websocket traffic and readers of every manner.

    python -m tests.soak --minutes 20 --rate 5000

`traffic.py` sends and keeps books, `readers.py` reads, breaks in and is killed, `gauges.py` measures the recording meanwhile,
`verdict.py` compares the database with the books and says which promise broke.
"""
