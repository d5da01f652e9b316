"""The program `sniffer`, which can be interrupted from its first moment on."""

from __future__ import annotations

import signal


def main() -> None:
    """Entry point. While modules are loaded, some 0.1 s, Ctrl-C ends the process as it ends any other, without a word."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # and not ignored, as in the background of a script
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sniffer.cli import main as run

    signal.signal(signal.SIGINT, handler)
    run()


if __name__ == "__main__":
    main()
