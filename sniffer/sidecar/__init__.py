"""The live processes. `record` is a parent with two children, which share nothing but the journal:

    capture    moves packets from the kernel's ring into the journal, and does nothing else
    load       follows the journal, decodes and publishes; it gives up root where another user is known

The parent opens the sockets and the journal, so that a missing privilege, interface or folder is said before anything starts.
It turns SIGINT, SIGTERM and SIGHUP into an orderly end: capture drains the ring, load drains the journal and publishes.
"""

from __future__ import annotations

from sniffer.sidecar.supervisor import record

__all__ = ["record"]
