"""`sniffer exec`: the command runs whatever is wrong with its key log, and is itself in every respect."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sniffer.errors import SnifferError
from sniffer.execute import file_name, prepare
from tests.command_line import PROGRAM, Result

SHOW = [sys.executable, "-c", "import os; print(os.getpid(), os.environ.get('SSLKEYLOGFILE'))"]
TLS = [sys.executable, "-c", "import ssl; ssl.create_default_context(); print('trading')"]
"""What every client does first; it raises where SSLKEYLOGFILE cannot be written."""
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o770)
    return keys


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    for name in ("SSLKEYLOGFILE", "SNIFFER_STRATEGY", "SNIFFER_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: object, prefix: tuple[str, ...] = ()) -> Result:
    """`sniffer exec` in a process of its own, which becomes another."""
    done = subprocess.run([*prefix, *PROGRAM, "exec", *map(str, arguments)], capture_output=True, text=True, timeout=30)
    return Result(done.returncode, done.stdout, done.stderr)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- what goes well --------------------------------------------------------------------------------------------------------


def test_the_file_is_there_before_the_command_and_the_command_takes_the_place_of_exec(folder: Path) -> None:
    done = run("--keylog-dir", folder, "--", *SHOW)
    pid, file = done.out.split()
    assert (done.code, done.err) == (0, "")
    assert Path(file).parent == folder
    assert Path(file).name.endswith(f"-{pid}.log")
    assert mode(Path(file)) == 0o640
    assert Path(file).read_text() == f"# sniffer exec, process {pid}\n"


def test_a_named_strategy_has_one_file_for_all_its_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNIFFER_STRATEGY", "maker")
    for _ in range(2):
        assert run("--keylog-dir", folder, "--", *SHOW).out.split()[1] == str(folder / "maker.log")
    assert (folder / "maker.log").read_text().count("# sniffer exec") == 2


def test_keys_are_written_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNIFFER_STRATEGY", "tls")
    assert run("--keylog-dir", folder, *TLS).out == "trading\n"
    assert (folder / "tls.log").exists()


def test_a_file_that_the_environment_names_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made like others; one that is there keeps its group, and is closed to everybody else."""
    named = folder / "mine.keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(named))
    assert run(*SHOW).out.split()[1] == str(named)
    assert mode(named) == 0o640
    named.chmod(0o666)
    assert run(*SHOW).err == ""
    assert mode(named) == 0o660


def test_a_folder_that_the_call_names_wins_over_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = folder / "mine.keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(named))
    monkeypatch.setenv("SNIFFER_STRATEGY", "maker")
    done = run("--keylog-dir", folder, *SHOW)
    assert (done.code, done.out.split()[1]) == (0, str(folder / "maker.log"))
    assert done.error == f"SSLKEYLOGFILE={named}, which is set already, is not used: --keylog-dir says where the key log is"
    assert not named.exists()


def test_a_relative_folder_is_made_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert run("--keylog-dir", "keys", *SHOW).out.split()[1].startswith(f"{folder}/")


@ROOT_ONLY
def test_the_file_belongs_to_the_folders_group(folder: Path) -> None:
    os.chown(folder, 0, 12345)
    prepare(folder / "a.log")
    assert (folder / "a.log").stat().st_gid == 12345


@pytest.mark.parametrize(
    ("strategy", "command", "name"),
    [
        ("maker", ["python", "bot.py"], "maker.log"),
        ("../../etc/passwd", ["bot"], "_._.._etc_passwd.log"),
        ("a b\n/ü", ["bot"], "a_b___.log"),
        ("x" * 300, ["bot"], "x" * 100 + ".log"),
        (".hidden", ["bot"], "_hidden.log"),
        (None, ["python", "-u", "/srv/bot.py"], "bot.py-PID.log"),
        (None, ["/srv/bot", "--live"], "bot-PID.log"),
    ],
)
def test_names(monkeypatch: pytest.MonkeyPatch, strategy: str | None, command: list[str], name: str) -> None:
    if strategy is not None:
        monkeypatch.setenv("SNIFFER_STRATEGY", strategy)
    assert file_name(command) == name.replace("PID", str(os.getpid()))


# --- what goes wrong: the command runs all the same ---------------------------------------------------------------------------


def runs_without(done: Result, *words: str) -> None:
    assert (done.code, done.out) == (0, "trading\n")
    assert done.error.endswith("the command starts without a key log, so its TLS traffic will not be readable")
    for word in words:
        assert word in done.error


def test_no_folder(tmp_path: Path) -> None:
    runs_without(run("--keylog-dir", tmp_path / "nope", *TLS), "the folder of key logs is not there", "sniffer doctor")
    (tmp_path / "file").touch()
    runs_without(run("--keylog-dir", tmp_path / "file", *TLS), "the folder of key logs is not there")


def test_a_variable_that_names_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "nope" / "keys.log"))
    runs_without(run(*TLS), f"{tmp_path}/nope/keys.log")
    assert subprocess.run(TLS, capture_output=True).returncode == 1, "without exec it does not start"


@ROOT_ONLY
@pytest.mark.parametrize("owner", [0, 54321])
def test_a_folder_of_somebody_else(folder: Path, owner: int) -> None:
    """As a user who is neither its owner nor of its group."""
    os.chown(folder, owner, owner)
    for parent in folder.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):  # pytest's own, which it closes
            parent.chmod(parent.stat().st_mode | 0o011)
    folder.chmod(0o2755)

    def become() -> None:
        os.setgroups([])
        os.setgid(4321)
        os.setuid(4321)

    pid = os.fork()
    if pid == 0:
        become()
        code = 1
        try:
            prepare(folder / "a.log")
        except SnifferError as error:
            code = 0 if "cannot be written by this user" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@ROOT_ONLY
def test_a_file_of_somebody_else_stays_as_it_is(folder: Path) -> None:
    file = folder / "a.log"
    file.touch(mode=0o646)
    file.chmod(0o646)
    os.chown(file, 54321, 54321)
    prepare(file)
    assert (mode(file), file.stat().st_uid) == (0o646, 54321)


@pytest.fixture
def full(folder: Path) -> Iterator[Path]:
    """A tmpfs in which nothing is free."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k,mode=2770", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        (folder / "filling").write_bytes(bytes(128 << 10))
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@ROOT_ONLY
def test_a_full_tmpfs(full: Path) -> None:
    runs_without(run("--keylog-dir", full, *TLS), "the file system is full")


@ROOT_ONLY
def test_a_tmpfs_that_fills_while_the_strategy_runs(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python then writes no keys, and trades on: nothing of ours is needed for that, but it must stay true."""
    (full / "filling").unlink()
    trade = f"open({str(full / 'filling')!r}, 'wb', 0).write(bytes(1 << 20)); exec({TLS[2]!r})"
    done = run("--keylog-dir", full, sys.executable, "-c", trade)
    assert (done.code, done.out, done.err) == (0, "trading\n", "")


def test_what_is_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNIFFER_STRATEGY", "odd")
    odd = folder / "odd.log"
    os.mkfifo(odd)
    runs_without(run("--keylog-dir", folder, *TLS), "cannot be written")
    reading = os.open(odd, os.O_RDONLY | os.O_NONBLOCK)
    runs_without(run("--keylog-dir", folder, *TLS), "is not a file")
    os.close(reading)
    odd.unlink()
    odd.symlink_to(folder / "elsewhere")
    runs_without(run("--keylog-dir", folder, *TLS), "symbolic link")
    assert not (folder / "elsewhere").exists()
    odd.unlink()
    odd.mkdir()
    runs_without(run("--keylog-dir", folder, *TLS), "cannot be written: Is a directory")
    odd.rmdir()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(odd))
        runs_without(run("--keylog-dir", folder, *TLS), "cannot be written")


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    broken = tmp_path / "sniffer.toml"
    broken.write_text("no toml")
    runs_without(run("--config", broken, *TLS), "is not TOML")
    runs_without(run("--config", tmp_path / "nope.toml", *TLS), "no such settings file")


# --- the command is itself ------------------------------------------------------------------------------------------------


def test_the_exit_code_is_the_commands(folder: Path) -> None:
    assert run("--keylog-dir", folder, "sh", "-c", "exit 7").code == 7
    assert run("--keylog-dir", folder, "sh", "-c", "kill -TERM $$").code == -signal.SIGTERM


def test_a_command_that_cannot_start(folder: Path) -> None:
    missing = run("--keylog-dir", folder, "no-such-program")
    assert (missing.code, missing.error[:15]) == (127, "no-such-program")
    assert "there is no such program" in missing.error
    assert run("--keylog-dir", folder, folder).code == 126
    assert run("--keylog-dir", folder).code == 2
    assert run("--nope", "true").code == 2


def test_its_options_are_its_own(folder: Path) -> None:
    for separator in ([], ["--"]):
        assert run("--keylog-dir", folder, *separator, "echo", "--db", "-h", "--", "x").out == "--db -h -- x\n"


def test_signals_are_as_usual(folder: Path) -> None:
    """Python ignores SIGPIPE and catches SIGINT; what it starts in its place does neither."""
    shown = run("--keylog-dir", folder, "cat", "/proc/self/status").out
    plain = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
    for name in ("SigIgn", "SigCgt", "SigBlk"):
        assert [line for line in shown.splitlines() if name in line] == [line for line in plain.splitlines() if name in line]


def test_it_is_interrupted_like_any_other(folder: Path) -> None:
    command = [*PROGRAM, "exec", "--keylog-dir", str(folder), "--", "sh", "-c", "echo ready; exec sleep 60"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT


def test_no_descriptor_is_left_open(folder: Path) -> None:
    shown = run("--keylog-dir", folder, "ls", "/proc/self/fd").out.split()
    assert shown == ["0", "1", "2", "3"], "3 is the folder that ls reads"


def test_it_is_quick() -> None:
    """A strategy should not wait: nothing heavy is imported."""
    code = "import sys, sniffer.execute, sniffer.config; print({'duckdb', 'numpy', 'pyarrow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
