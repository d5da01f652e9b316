"""Key log files: followed while they grow, through rotation and truncation, and never waited for."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from sniffer.capture import keylogs
from sniffer.capture.keylogs import KeyLogFiles


def line(number: int) -> bytes:
    return b"CLIENT_RANDOM %064x %096x\n" % (number, number)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Gathered:
    """A sink that keeps what it is given, by source."""

    def __init__(self) -> None:
        self.sources: dict[str, bytes] = {}
        self.calls: list[str] = []

    def feed(self, source: str, data: bytes) -> None:
        self.sources[source] = self.sources.get(source, b"") + data

    def end(self, source: str) -> None:
        self.calls.append("end")

    def restart(self, source: str) -> None:
        self.calls.append("restart")
        self.sources[source] = b""

    @property
    def whole(self) -> bytes:
        return b"".join(sorted(self.sources.values()))


class Followed:
    """Key logs under test: `look` reads what is new, whatever the time."""

    def __init__(self, *paths: Path) -> None:
        self.sink = Gathered()
        self.said: list[str] = []
        self.files = KeyLogFiles(paths, self.sink, self.said.append)

    def look(self) -> bytes:
        self.files.read_all()
        return self.sink.whole


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "keys.log"
    path.touch(0o600)
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_a_file_is_read_while_it_grows(log: Path) -> None:
    followed = Followed(log)
    assert followed.look() == b""
    whole = b""
    for number in range(5):
        append(log, line(number)[:20])
        assert followed.look() == whole + line(number)[:20]
        append(log, line(number)[20:])
        whole += line(number)
        assert followed.look() == whole
    assert followed.said == []
    assert followed.sink.calls == []


def test_a_file_may_come_later(tmp_path: Path) -> None:
    path = tmp_path / "later.log"
    followed = Followed(path)
    assert followed.look() == b""
    assert followed.files.trouble == keylogs.NOT_FOUND
    path.write_bytes(line(1))
    path.chmod(0o600)
    assert followed.look() == line(1)
    assert followed.files.trouble is None
    assert followed.said == [f"{path}: there is no such key log; it is read when it appears"]


def test_a_file_that_is_missing_from_a_capture_at_rest_is_a_warning(tmp_path: Path) -> None:
    said: list[str] = []
    files = KeyLogFiles([tmp_path / "no.log"], Gathered(), said.append, follow=False)
    files.read_all()
    assert said == [f"{tmp_path / 'no.log'}: there is no such key log; what it has the secrets of stays unread"]


def test_a_renamed_file_is_read_on_and_the_new_one_too(log: Path) -> None:
    followed = Followed(log)
    with log.open("ab", buffering=0) as writer:
        writer.write(line(1))
        followed.look()
        writer.write(line(2))  # not looked at before the rename
        log.rename(log.with_suffix(".1"))
        log.touch(0o600)
        append(log, line(3))
        followed.look()
        writer.write(line(4))  # its writer does not know of the rename
    followed.look()
    assert sorted(followed.sink.sources.values()) == [line(1) + line(2) + line(4), line(3)]


def test_a_deleted_file_is_read_on(log: Path) -> None:
    followed = Followed(log)
    with log.open("ab", buffering=0) as writer:
        writer.write(line(1))
        followed.look()
        log.unlink()
        writer.write(line(2))
        assert followed.look() == line(1) + line(2)


def test_few_former_files_stay_open(log: Path) -> None:
    followed = Followed(log)
    before = open_files()
    for number in range(50):
        log.unlink()
        log.touch(0o600)
        append(log, line(number))
        followed.look()
    assert open_files() <= before + 6
    followed.sink.calls.clear()
    followed.files.close()
    assert open_files() == before
    assert followed.sink.calls.count("end") == 5  # a last line without its line feed is whole, now


@pytest.mark.parametrize("longer", [False, True])
def test_a_truncated_file_begins_anew(log: Path, longer: bool) -> None:
    append(log, line(1) + line(2))
    followed = Followed(log)
    followed.look()
    os.truncate(log, 0)
    anew = b"".join(map(line, range(10, 14))) if longer else line(3)
    append(log, anew)
    assert followed.look() == anew
    assert followed.sink.calls == ["restart"]


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / f"strategy-{number}.log"
        path.write_bytes(line(number))
        path.chmod(0o600)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "not-read.log").write_bytes(line(9))
    followed = Followed(tmp_path)
    assert followed.look() == line(0) + line(1) + line(2)
    append(tmp_path / "strategy-1.log", line(4))
    (tmp_path / "strategy-1.log").rename(tmp_path / "renamed.log")
    (tmp_path / "strategy-0.log").unlink()
    assert sorted(followed.look().splitlines()) == sorted(b"".join(map(line, (0, 1, 4, 2))).splitlines())
    assert followed.sink.calls == ["end"]
    assert followed.said == []


def test_an_empty_folder_holds_no_key_log(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    followed.look()
    assert followed.files.trouble == keylogs.NOT_FOUND


def test_a_pipe_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    followed = Followed(pipe, tmp_path, Path("/dev/zero"))
    begun = time.monotonic()
    assert followed.look() == b""
    assert time.monotonic() - begun < 1
    assert followed.said == [
        f"{pipe}: this is no file; a key log is a file, or a folder of files",
        "/dev/zero: this is no file; a key log is a file, or a folder of files",
    ]
    assert followed.files.trouble == keylogs.NOT_READABLE


def test_what_cannot_be_read_is_said_once(tmp_path: Path, log: Path) -> None:
    inside = log / "below.log"
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    followed = Followed(inside, loop)
    for _ in range(3):
        followed.look()
    assert followed.said == [
        f"{inside}: the key log cannot be read: Not a directory",
        f"{loop}: the key log cannot be read: Too many levels of symbolic links",
    ]
    assert followed.files.trouble == keylogs.NOT_READABLE


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user to lack a right")
def test_a_file_of_another_user(log: Path) -> None:
    append(log, line(1))
    for folder in log.parents:
        if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    followed = Followed(log)
    os.seteuid(65534)
    try:
        assert followed.look() == b""
    finally:
        os.seteuid(0)
    assert followed.said == [f"{log}: the key log cannot be read: Permission denied; let the user who decodes read it"]
    assert followed.files.trouble == keylogs.NOT_READABLE
    assert followed.look() == line(1)  # somebody has given the right meanwhile


def test_a_log_that_everybody_can_read_is_a_warning(log: Path) -> None:
    append(log, line(1))
    log.chmod(0o644)
    followed = Followed(log)
    assert followed.look() == line(1)
    assert len(followed.said) == 1
    assert followed.said[0].startswith(f"{log}: every user of this machine can read this key log")
    assert followed.said[0].endswith(f"`chmod o-r {log}`")


@pytest.mark.parametrize("data", [b"PK\x03\x04" + bytes(range(256)) * 40, b"no key log at all\n", b"\x00" * 5000])
def test_what_is_no_key_log_is_a_warning_and_read_all_the_same(log: Path, data: bytes) -> None:
    append(log, data)
    followed = Followed(log)
    assert followed.look() == data
    assert followed.said == [f"{log}: this does not look like a key log; name the file that SSLKEYLOGFILE names"]


def test_of_a_huge_file_only_the_end_is_read(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keylogs, "FILE_BYTES", 1000)
    monkeypatch.setattr(keylogs, "_POLL_BYTES", 300)
    append(log, b"".join(map(line, range(40))))
    followed = Followed(log)
    size = log.stat().st_size
    assert followed.look() == log.read_bytes()[-1000:]
    assert followed.said == [f"{log}: a key log of {size:,} bytes: only its last 1,000 are read; rotate it"]
    append(log, line(50))
    assert followed.look() == log.read_bytes()[size - 1000 :]


def test_a_look_reads_so_much_and_the_next_one_goes_on(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keylogs, "_POLL_BYTES", 500)
    monkeypatch.setattr(keylogs, "CHUNK_BYTES", 100)
    append(log, b"".join(map(line, range(20))))
    followed = Followed(log)
    looks = 0
    while followed.sink.whole != log.read_bytes():
        followed.files.poll()
        looks += 1
    assert looks == -(-log.stat().st_size // 500)


def test_looks_are_rare(log: Path) -> None:
    append(log, line(1))
    followed = Followed(log)
    followed.files.poll()
    append(log, line(2))
    followed.files.poll()
    assert followed.sink.whole == line(1)
    time.sleep(keylogs.POLL_INTERVAL * 1.5)
    followed.files.poll()
    assert followed.sink.whole == line(1) + line(2)


def test_random_writers_renames_and_truncations_lose_nothing(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    path = tmp_path / "keys.log"
    path.touch(0o600)
    followed = Followed(path)
    written: list[bytes] = []
    handed: list[bytes] = []
    number = 0
    for _ in range(300):
        what = rng.random()
        if what < 0.6:
            number += 1
            written.append(line(number))
            append(path, written[-1])
        elif what < 0.9:
            followed.look()
        else:
            followed.look()
            handed += followed.sink.whole.splitlines(keepends=True)
            if rng.random() < 0.5:
                os.truncate(path, 0)
            else:
                path.rename(tmp_path / f"{number}-{len(handed)}")
                path.touch(0o600)
    followed.look()
    handed += followed.sink.whole.splitlines(keepends=True)
    assert set(handed) == set(written)
