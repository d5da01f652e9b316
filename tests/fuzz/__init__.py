"""Fuzzing: a target for each parser, driven by atheris (libFuzzer on Python bytecode), which keeps what reaches new code.

Why atheris: by its feedback it writes its way into heads, lengths and grammars that blind mutation never gets past, it minds
time and memory of each input, and its makers keep it (wheels for Python 3.11 to 3.14). `tests/property` is for the rest: random
traffic that is mostly right, where what should come out is known.

    make fuzz SECONDS=60 TARGET="http websocket"

`targets.py` lists the targets. Each holds more than that nothing is raised: bounds, accounts to the byte, the same result in
any blocks, rows that say no more than their message, one line for an error. Inputs that showed a fault are in `corpus/`, and
`test_corpus.py` runs them, and what each target begins with, in every test run.
"""
