"""Measurements: `python -m bench`. Workloads (messages, captures, generator), runners (programs), figures, and a report.

A figure is a ratio within one run, the median of interleaved rounds, and counts only if what was stored is right.
"""
