"""The demo's own traffic, recorded live, with the simulated exchange's books beside it."""
