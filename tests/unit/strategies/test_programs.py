"""The programs' options, and what the package may import."""

from __future__ import annotations

import argparse
import ast
import socket
from pathlib import Path

import pytest

import strategies
from strategies import demo, exchange, run
from strategies.options import add_exchange_options, config_from


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "70000"], "'70000' is not a whole number from 0 to 65535"),
        (["--assets", "none"], "'none' is not a whole number"),
        (["--fill-probability", "nan"], "'nan' is not a number from 0 to 1"),
        (["--window-bits", "8"], "from 9 to 15"),
        (["--compression", "gzip"], "invalid choice: 'gzip'"),
        (["--truth", "/nowhere/at/all.json"], "no file in an existing folder"),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    for program in (demo, exchange):
        with pytest.raises(SystemExit) as left:
            program.main(arguments)
        assert left.value.code == 2
        assert says in capsys.readouterr().err.splitlines()[-1]


def test_a_port_in_use_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for program in (exchange, demo):
            for ports in (["--port", port], ["--port", "0", "--tls-port", port]):
                assert program.main([*ports, "--assets", "1"]) == 1
                (line,) = capfd.readouterr().err.splitlines()
                named = f"--port {ports[1]}" + (f", --tls-port {port}" if len(ports) > 2 else "")
                assert line.startswith(f"{named}: something listens there on 127.0.0.1 already")


def test_a_port_of_a_further_venue_in_use_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] - 1
        assert demo.main(["--port", str(port), "--assets", "2", "--venues", "okx", "bitfinex"]) == 1
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith(f"--port {port} (and the next 1): something listens there on 127.0.0.1 already")


def test_ports_end_at_65535(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        demo.main(["--port", "65535", "--venues", "okx", "bitfinex"])
    assert left.value.code == 2
    assert "above 65535" in capsys.readouterr().err.splitlines()[-1]


def test_venues_share_the_assets_and_listen_one_after_the_other() -> None:
    parser = argparse.ArgumentParser()
    add_exchange_options(parser)
    options = parser.parse_args(["--assets", "8", "--port", "9000", "--tls-port", "0"])
    options.venues = ["binance-spot", "okx", "bitfinex"]
    shares = [(one.venue, one.assets, one.port, one.tls_port) for one in demo.configs(options)]
    assert shares == [("binance-spot", 3, 9000, 0), ("okx", 3, 9001, 0), ("bitfinex", 2, 9002, 0)]
    options.assets = 2
    assert [one.assets for one in demo.configs(options)] == [1, 1]


def test_an_address_of_another_machine_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert exchange.main(["--host", "192.0.2.1", "--port", "0", "--assets", "1"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("--host 192.0.2.1")


def test_no_exchange_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert run.main(["--url", f"ws://127.0.0.1:{port}", "--assets", "2", "--seconds", "5"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "no exchange there" in line


@pytest.mark.parametrize(
    ("arguments", "compression", "latency"),
    [
        ([], "off", (0.001, 0.005)),
        (["--compression"], "takeover", (0.001, 0.005)),
        (["--latency", "20", "10"], "off", (0.01, 0.02)),
    ],
)
def test_options_become_the_configuration(arguments: list[str], compression: str, latency: tuple[float, float]) -> None:
    parser = argparse.ArgumentParser()
    add_exchange_options(parser)
    config = config_from(parser.parse_args(arguments))
    assert (config.compression, config.latency) == (compression, latency)
    assert (config.port, config.assets, config.seed) == (9443, 100, 7)


def test_the_trading_side_knows_nothing_of_recording() -> None:
    folder = Path(strategies.__file__).parent
    modules = list(folder.glob("*.py"))
    assert len(modules) > 10
    for module in modules:
        text = module.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {name.partition(".")[0] for name in names} & {"sniffer", "duckdb", "sqlite3"}, module
        assert "duckdb" not in text.lower(), module
