"""The command line. Each command is thin: it checks its options, calls the module that does the work, and prints.

Exit codes: 0 done; 1 the work failed; 2 the call is wrong; 130 ended by Ctrl-C. Errors are one line on standard error.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from sniffer import __version__
from sniffer.allocator import keep_freed_memory
from sniffer.cli_live import COMMANDS
from sniffer.cli_options import Command, Config, Db, Hosts, Keep, KeyLogs, Ports
from sniffer.config import load_settings
from sniffer.errors import SnifferError, UsageError
from sniffer.model import Sender

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the number of the signal."""


app = typer.Typer(
    name="sniffer",
    help="Puts the orders of your trading strategies on disk, by reading their traffic off the network.",
    epilog="`sniffer COMMAND --help` explains a command, with examples.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the same text in a terminal and in a pipe
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


class _Output(io.FileIO):
    """Standard output, of which each error says that it is its own."""

    def write(self, data: Any, /) -> int:
        """See `io.FileIO`."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise SnifferError(f"standard output: {error.strerror}") from None


def main() -> NoReturn:
    """Runs a command and turns every error into one line and an exit code."""
    try:
        keep_freed_memory()
        _prepare_streams()
        code = app(prog_name="sniffer", standalone_mode=False)
        sys.stdout.flush()  # what cannot be written has to be noticed here, not when Python ends
    except SnifferError as error:
        _fail(str(error), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _end(INTERRUPTED)
    except BrokenPipeError:
        _end(1)
    except OSError as error:
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}; name another, or let this user use it", 1)
    except Exception as error:
        # typer's own complaints about options and arguments know how to say themselves
        text = getattr(error, "format_message", None)
        if text is None:
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            with contextlib.suppress(SnifferError):  # of standard output; the call was wrong before
                print(text())
            _end(2)
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "sniffer"
        _fail(f"{text().removesuffix('.')}; see `{command} --help`", 2)
    _end(code if isinstance(code, int) else 0)


def _prepare_streams() -> None:
    """See that the standard streams are there, escape what their encoding lacks, and name errors of the output."""
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:  # closed: no file of ours shall get its number, and what is written to the output be an error
            os.open(os.devnull, flags)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    out = sys.stdout or os.fdopen(1, "w", closefd=False)
    if isinstance(out, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        raw = _Output(1, "w", closefd=False)
        through = out.write_through
        buffer = raw if through else io.BufferedWriter(raw)
        sys.stdout = io.TextIOWrapper(buffer, out.encoding, line_buffering=out.line_buffering, write_through=through)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(text: str, code: int) -> NoReturn:
    _say(text)
    _end(code)


def _end(code: int) -> NoReturn:
    """End with this exit code, even if what is left of the output cannot be written: Python would say so, and take another."""
    try:
        sys.stdout.flush()
    except (SnifferError, OSError):
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _say(text: str) -> None:
    """One line to the user; what comes from file names or from the wire cannot break it, or steer the terminal."""
    from sniffer.table import visible

    print(f"sniffer: {visible(' '.join(text.split()))}", file=sys.stderr, flush=True)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"sniffer {__version__}")
        raise typer.Exit


for function, epilog in COMMANDS:
    app.command(cls=Command, epilog=epilog)(function)


@app.command(
    cls=Command,
    epilog="\b\nExamples:\n  sniffer replay monday.pcap.gz tuesday.pcapng\n"
    "  sniffer replay --db all.duckdb --keep all capture.pcap\n  tcpdump -i lo -U -w - port 9443 | sniffer replay -",
)
def replay(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", hidden=True)],
    db: Db = None,
    keep: Keep = None,
    host: Hosts = None,
    port: Ports = None,
    keylog: KeyLogs = None,
    replace: Annotated[bool, typer.Option("--replace", help="Load the capture anew if the database has it already.")] = False,
    config: Config = None,
) -> None:
    """Decode capture files into the database.

    FILE is pcap or pcapng, also gzip; - is standard input. Several files, merged by time, are one capture. Loading a capture
    again changes nothing; one that has grown is continued.
    """
    from sniffer.replay import replay_files
    from sniffer.report import summary_lines

    settings = load_settings(config, db=db, keep=keep, hosts=host, ports=port, keylog=keylog)
    if settings.venues:  # before a database is made; what it takes to check them is loaded in its time otherwise
        from sniffer.exchanges.own import check_declared

        check_declared(settings.venues)
    try:
        summary = replay_files(files, settings, replace=replace, say=_say)
    except KeyboardInterrupt:
        _fail("interrupted; the same call goes on from what is stored", INTERRUPTED)
    for line in summary_lines(summary, str(settings.db)):
        print(line)
    for damage in summary.damage:
        _say(str(damage))
    if summary.damage:
        raise typer.Exit(1)
    if summary.interrupted:
        _fail("interrupted; the same call goes on from what is stored", INTERRUPTED)


@app.command(
    cls=Command,
    epilog='\b\nExamples:\n  sniffer query "SELECT symbol, side, price, quantity FROM orders WHERE is_open"\n'
    '  sniffer query --format csv "SELECT * FROM fills" > fills.csv\n  sniffer query "SHOW TABLES"',
)
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", hidden=True)],
    db: Db = None,
    form: Annotated[
        str,
        typer.Option(
            "--format", help="table, json (an object a line), csv or markdown [table].", metavar="FORM", show_default=False
        ),
    ] = "table",
    config: Config = None,
) -> None:
    """Run a read-only query.

    It sees the tables captures, connections, messages, order_events, fill_events and losses, and the views orders,
    orders_all, fills, completeness and candles(INTERVAL ...).
    """
    from sniffer.store import read
    from sniffer.table import FORMATS, print_rows

    if form not in FORMATS:
        raise UsageError(f"--format {form}: it is one of {', '.join(FORMATS)}")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # DuckDB looks for signals between its steps, some of which are long
    names, types, rows = read.query(load_settings(config, db=db).db, sql)
    print_rows(names, types, rows, form)


@app.command(cls=Command, epilog="\b\nExamples:\n  sniffer tail --symbol BTCUSDT\n  sniffer tail --json | jq .price")
def tail(
    db: Db = None,
    venue: Annotated[str | None, typer.Option("--venue", help="Only this exchange, as binance-spot.", metavar="NAME")] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only this symbol, as BTCUSDT.", metavar="NAME")] = None,
    strategy: Annotated[str | None, typer.Option("--strategy", help="Only this strategy.", metavar="NAME")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    config: Config = None,
) -> None:
    """Print orders and fills as they come, until Ctrl-C.

    Times are UTC.
    """
    from sniffer.follow import follow

    follow(load_settings(config, db=db).db, venue=venue, symbol=symbol, strategy=strategy, as_json=as_json)


@app.command(
    cls=Command,
    epilog="\b\nExamples:\n  sniffer losses --last 1h\n  sniffer losses --from 2026-11-21T10:00 --to 2026-11-21T11:00 --json",
)
def losses(
    start: Annotated[str | None, typer.Option("--from", help="Since when (ISO 8601; UTC if no zone).", metavar="TIME")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Until when.", metavar="TIME")] = None,
    last: Annotated[str | None, typer.Option("--last", help="The last 90s, 15m, 1h, 2d.", metavar="SPAN")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    db: Db = None,
    config: Config = None,
) -> None:
    """Say whether a time is complete.

    If not, says what is missing, and what to ask the exchange for. Without a time: all that the database holds. The view
    `completeness` says it by minute and connection.
    """
    from sniffer.losses import report, span

    since, until = span(start, end, last)
    for line in report(load_settings(config, db=db).db, since, until, as_json=as_json):
        print(line)


@app.command(
    cls=Command,
    epilog="\b\nExamples:\n  sniffer export copy.duckdb\n  sniffer export fills.csv\n  sniffer export backup/",
)
def export(
    target: Annotated[Path, typer.Argument(metavar="TARGET", hidden=True, readable=False)],
    db: Db = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the target.")] = False,
    config: Config = None,
) -> None:
    """Write a copy that stands alone.

    TARGET is a .duckdb file, a .parquet or .csv file (one table, if it has a table's name, else a file for each), or a
    folder, which gets a Parquet file for each table.
    """
    from sniffer.store.export import export as run

    for written in run(load_settings(config, db=db).db, target, force=force):
        print(f"wrote {written}")


@app.command(
    "export-capture",
    cls=Command,
    epilog="\b\nExamples:\n  sniffer export-capture monday.pcap --keylog keys.log -o monday-open.pcapng\n"
    "  sniffer export-capture orders.duckdb.journal --keylog /run/sniffer/keys -o case.pcapng",
)
def export_capture(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", hidden=True)],
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write (pcapng).", metavar="FILE", readable=False)],
    keylog: KeyLogs = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    config: Config = None,
) -> None:
    """Write a capture with its TLS secrets.

    WHOEVER HAS THE OUTPUT CAN READ THE TRAFFIC, API keys and all: hand it on with care. It is readable by you only.

    FILE is pcap or pcapng, also gzip, or a journal's folder; several files are merged by time. Only the secrets of
    connections in the capture are written, so that Wireshark, tshark and `sniffer replay` decrypt it without a key log.
    """
    from sniffer.export_capture import export_capture as run

    done = run(files, output, load_settings(config, keylog=keylog), force=force, say=_say)
    print(f"wrote {done.packets:,} packets and the secrets of {done.connections:,} TLS connections to {output}")
    if done.without:
        print(f"  {done.without:,} more TLS connections have no secrets in the key logs, and stay closed")
    for damage in done.damage:
        _say(f"{damage.path}: stopped at byte {damage.offset}: {damage.reason}; what came before is in {output}")
    if done.damage:
        raise typer.Exit(1)


@app.command(
    cls=Command,
    epilog="\b\nExamples:\n  sniffer redecode\n  sniffer redecode --db old.duckdb --config sniffer.toml",
)
def redecode(db: Db = None, config: Config = None) -> None:
    """Decode a database's messages anew.

    The raw messages that it holds go through today's decoders, and what changed is said.

    After an update, or a change of the settings' venues: rows of messages that nobody understood are won back, others are
    corrected. All changes come in one publish; no recording may be running into the database.
    """
    from sniffer.redecode import lines
    from sniffer.redecode import redecode as run

    settings = load_settings(config, db=db)
    for line in lines(run(settings), str(settings.db)):
        print(line)


@app.command(
    cls=Command,
    epilog="\b\nExamples:\n  sniffer decode --venue binance-spot event.json\n"
    '  sniffer decode --venue binance-spot --http "POST /api/v3/order" body.txt\n'
    """  echo '{"sender": "server", "payload": "..."}' | sniffer decode --venue binance-spot""",
)
def decode(
    files: Annotated[list[str] | None, typer.Argument(metavar="[FILE...]", hidden=True)] = None,
    venue: Annotated[
        str, typer.Option("--venue", help="Whose messages, as binance-spot.", metavar="NAME", show_default=False)
    ] = "",
    sender: Annotated[
        str, typer.Option("--sender", help="Who sent them [server].", metavar="client|server", show_default=False)
    ] = "server",
    together: Annotated[bool, typer.Option("--together", help="The files, in order, are one connection.")] = False,
    http: Annotated[
        str | None,
        typer.Option("--http", help='The payloads are bodies of this call, as "POST /api/v3/order".', metavar="CALL"),
    ] = None,
    config: Config = None,
) -> None:
    """Decode message payloads, without a database.

    Prints a JSON object for each row; what holds no order or fill is named on standard error.

    FILE holds one message, of a connection of its own. Without files, standard input is one connection: a JSON object a line
    with the keys sender and payload.
    """
    import json
    from functools import partial

    from sniffer.config import account_name, account_salt
    from sniffer.exchanges import by_name
    from sniffer.exchanges import decode as engine
    from sniffer.exchanges.base import ConnectionFacts
    from sniffer.exchanges.own import use_own_venues

    if not venue:
        raise UsageError("--venue is missing; it names the exchange, as binance-spot")
    if sender not in ("client", "server"):
        raise UsageError(f"--sender {sender}: it is client or server")
    problems = 0

    def problem(file: str, reason: str) -> None:
        nonlocal problems
        problems += 1
        nothing(file, reason)

    def nothing(file: str, reason: str) -> None:
        _say(f"{file}: {reason}")

    use_own_venues(load_settings(config).venues)
    whose = by_name(venue)
    facts = ConnectionFacts(name_of=partial(account_name, account_salt()))
    if files:
        paths = [Path(name) for name in files]
        side: Sender = "client" if sender == "client" else "server"
        rows = engine.decode_files(whose, side, paths, facts, problem, together=together, http=http, nothing=nothing)
    else:
        rows = engine.decode_lines(whose, sys.stdin.buffer, facts, problem, http=http, nothing=nothing)
    for row in rows:
        print(json.dumps(row, ensure_ascii=False))
    if problems:
        raise typer.Exit(1)


@app.command(
    "exec",
    cls=Command,
    context_settings={"allow_interspersed_args": False},  # what follows the command is the command's
    epilog="\b\nExamples:\n  sniffer exec -- python bot.py --symbol BTCUSDT\n"
    "  SNIFFER_STRATEGY=maker sniffer exec -- ./bot\n  sniffer exec --keylog-dir /srv/keys -- python -m desk.bot",
)
def execute(
    command: Annotated[list[str], typer.Argument(metavar="[--] COMMAND...", hidden=True)],
    keylog_dir: Annotated[
        Path | None,
        typer.Option(
            "--keylog-dir",
            help="Where its key log is made [/run/sniffer/keys], whatever SSLKEYLOGFILE says.",
            metavar="FOLDER",
            readable=False,
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Start a strategy so that its TLS traffic can be read.

    Makes a key log file for it, says where in SSLKEYLOGFILE, and becomes COMMAND: process, signals and exit code are the
    command's. Where the variable is set already, that file is made. Where the file cannot be made, the command starts all the
    same, without the variable. It takes no database.
    """
    from sniffer.execute import WITHOUT, run_command, start

    try:
        folder = load_settings(config, keylog_dir=keylog_dir).keylog_dir
    except SnifferError as error:
        _say(f"{error}; {WITHOUT}")
        start(command)
    run_command(command, folder, _say, option=keylog_dir is not None)


@app.command(
    cls=Command,
    epilog="\b\nExamples:\n  sniffer doctor -i eth0\n  sudo sniffer doctor --user trader --keylog /run/sniffer/keys",
)
def doctor(
    interface: Annotated[str | None, typer.Option("-i", "--interface", help="Interface to look at.", metavar="NAME")] = None,
    keylog: KeyLogs = None,
    user: Annotated[
        str | None,
        typer.Option("--user", help="As whom the strategies run [under sudo: the caller].", metavar="NAME"),
    ] = None,
    db: Db = None,
    config: Config = None,
) -> None:
    """Check this machine, and say what to do.

    Looks at privilege, interfaces, folders and key logs, and at each connection in the last minutes of a recording. A line
    begins with OK, WARN or FAIL; the exit code is 1 if one fails.
    """
    from sniffer.doctor import checks

    bad = False
    for check in checks(load_settings(config, db=db, keylog=keylog), interface, user):
        print(f"{check.state:<5} {check.text}")
        bad = bad or check.state == "FAIL"
    if bad:
        raise typer.Exit(1)
