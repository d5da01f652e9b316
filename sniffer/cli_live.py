"""The commands around a recording: `record`, `status`, `service`. See `sniffer.cli`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from sniffer.cli_options import Config, Db, Hosts, Keep, KeyLogs, Ports
from sniffer.config import load_settings


def record(
    interface: Annotated[
        list[str],
        typer.Option("-i", "--interface", help="What to capture, as lo; may be given several times.", metavar="NAME"),
    ],
    db: Db = None,
    keep: Keep = None,
    host: Hosts = None,
    port: Ports = None,
    keylog: KeyLogs = None,
    journal: Annotated[
        Path | None,
        typer.Option("--journal", help="Where captured packets go first [DB.journal].", metavar="FOLDER", readable=False),
    ] = None,
    journal_max_bytes: Annotated[
        int | None,
        typer.Option("--journal-max-bytes", help="Size of the journal at most [4294967296, 4 GiB].", metavar="BYTES"),
    ] = None,
    publish_interval: Annotated[
        float | None,
        typer.Option("--publish-interval", help="Time between two versions of the database [1.0].", metavar="SECONDS"),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option("--user", help="Who decodes and owns the database [under sudo: the caller].", metavar="NAME"),
    ] = None,
    journal_sync: Annotated[
        str | None,
        typer.Option(
            "--journal-sync", help="How often the journal is forced onto the disk [never].", metavar="never|second|block"
        ),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option("--log-format", help="How events are said [text].", metavar="text|json")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option("--metrics-port", help="Serve Prometheus metrics on this port of loopback.", metavar="PORT")
    ] = None,
    config: Config = None,
) -> None:
    """Record live: capture and load until Ctrl-C.

    Takes root or CAP_NET_RAW; under sudo all but the capture itself runs as the caller. `sniffer doctor` says whether this
    machine can capture.
    """
    from sniffer.exchanges.own import check_declared
    from sniffer.report import summary_lines
    from sniffer.sidecar import record as run

    settings = load_settings(
        config,
        db=db,
        keep=keep,
        hosts=host,
        ports=port,
        keylog=keylog,
        journal=journal,
        journal_max_bytes=journal_max_bytes,
        publish_interval=publish_interval,
        journal_sync=journal_sync,
        log_format=log_format,
        metrics_port=metrics_port,
    )
    check_declared(settings.venues)
    if not settings.keylog and settings.keylog_dir.is_dir():  # `sniffer exec` makes its key logs there
        settings = replace(settings, keylog=(settings.keylog_dir,))
    summary = run(settings, interface, user=user)
    for line in summary_lines(summary, str(settings.db)):
        print(line)


def status(
    db: Db = None,
    journal: Annotated[
        Path | None, typer.Option("--journal", help="The recording's journal [DB.journal].", metavar="FOLDER", readable=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON object, times in nanoseconds.")] = False,
    config: Config = None,
) -> None:
    """Say how a running recording is.

    Processes, rates, the capture ring, the journal and how far loading is behind it, losses of today, and connections that
    cannot be read. It asks the recording itself; the exit code is 1 if none runs.
    """
    from sniffer.sidecar.ask import ask, lines

    record = ask(load_settings(config, db=db, journal=journal))
    for line in [json.dumps(record)] if as_json else lines(record):
        print(line)


def service(
    interface: Annotated[
        list[str],
        typer.Option("-i", "--interface", help="What to capture, as eth0; may be given several times.", metavar="NAME"),
    ],
    user: Annotated[
        str, typer.Option("--user", help="The user it runs as [sniffer].", metavar="NAME", show_default=False)
    ] = "sniffer",
    db: Db = None,
    keep: Keep = None,
    host: Hosts = None,
    port: Ports = None,
    keylog: KeyLogs = None,
    journal: Annotated[
        Path | None,
        typer.Option("--journal", help="Where captured packets go first [DB.journal].", metavar="FOLDER", readable=False),
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option("--metrics-port", help="Serve Prometheus metrics on this port of loopback.", metavar="PORT")
    ] = None,
    config: Config = None,
) -> None:
    """Print a systemd unit that records.

    It runs as an ordinary user with CAP_NET_RAW alone, and may write nothing but the database's folder. The first lines of the
    unit say how to install it.
    """
    from sniffer.sidecar.service import unit

    settings = load_settings(
        config, db=db, keep=keep, hosts=host, ports=port, keylog=keylog, journal=journal, metrics_port=metrics_port
    )
    print(unit(settings, interface, user), end="")


COMMANDS: Final[tuple[tuple[Callable[..., None], str], ...]] = (
    (record, "\b\nExamples:\n  sudo sniffer record -i eth0 --port 9443\n  sudo sniffer record -i lo --db /data/orders.duckdb"),
    (status, "\b\nExamples:\n  sniffer status\n  sniffer status --json | jq .journal.behind_packets"),
    (service, "\b\nExample:\n  sniffer service -i eth0 --port 9443 --db /var/lib/sniffer/orders.duckdb"),
)
"""Each command, and the examples below its help."""
