"""What saving orders costs the strategy: the same strategies, which save each order in one way or another, or not at all.

A run is three parts: the simulated exchange (`exchange`), the strategies (`strategy`, one process on a core of its own, killed
with SIGKILL at the end), and what the way of saving needs beside them (`ways`, `servers`, `sidecar`). `run` puts them together,
`figure` interleaves runs into rounds and compares them, `statistics` has the quantiles and intervals, `plot` the picture.
"""
