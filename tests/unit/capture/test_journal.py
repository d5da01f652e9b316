from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

from sniffer.capture.journal import JournalReader
from sniffer.capture.journal_writer import JournalWriter
from sniffer.capture.pcapfile import open_capture
from sniffer.errors import JournalError
from tests.unit.capture.files import read_all

AT = 1_700_000_000_123_456_789
SMALL = 64 << 10


def make(count, start=0, size=100):
    return [(AT + n, 1, b"%06d" % n + bytes(n % size), size + 20, n % 3) for n in range(start, start + count)]


def captured(packets):
    return sum(len(packet[2]) for packet in packets)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "journal"
    path.mkdir(mode=0o700)
    return path


def test_what_is_written_is_read(folder):
    writer = JournalWriter(folder, [("lo", 1), ("tun0", 101)])
    first, second = make(1000), [(at, 101, *rest) for at, _, *rest in make(500, 1000)]
    writer.write(first)
    writer.write([])
    writer.write(second, interface=1)
    writer.statistics(3)
    writer.flush()
    writer.close()
    reader = JournalReader(folder, follow=False)
    packets, error = read_all(reader)
    assert error is None
    assert packets == first + second
    assert reader.name == f"lo@{os.uname().nodename}"
    assert reader.identity == writer.identity
    assert reader.kernel_drops == 3
    assert reader.losses == []
    assert reader.ended_at is not None
    assert reader.bytes_read == reader.total_bytes
    (segment,) = folder.iterdir()
    assert stat.S_IMODE(segment.stat().st_mode) == 0o600
    assert read_all(open_capture(segment)) == (packets, None)  # `sniffer replay` of a segment: the same packets, the same marks


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_tshark_reads_a_segment(folder):
    writer = JournalWriter(folder, [("lo", 1)])
    packets = make(200)
    writer.write(packets)
    writer.statistics(3)
    writer.close()
    fields = [part for name in ("time_epoch", "cap_len", "len", "interface_id") for part in ("-e", f"frame.{name}")]
    command = ["tshark", "-r", folder / "00000001.pcapng", "-T", "fields", *fields]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    expected = [
        [f"{at // 10**9}.{at % 10**9:09}", f"{len(data)}", f"{original}", f"{mark}"] for at, _, data, original, mark in packets
    ]
    assert rows == expected


def test_nobody_counts_drops(folder):
    writer = JournalWriter(folder, [("lo", 1)])
    writer.statistics(None)
    writer.close()
    reader = JournalReader(folder, follow=False)
    assert read_all(reader) == ([], None)
    assert reader.kernel_drops is None


def test_segments_rotate_and_are_bounded(folder):
    """64 KiB segments, 256 KiB in all: the oldest go, and the reader says how much of them was never read."""
    writer = JournalWriter(folder, [("lo", 1)], segment_bytes=SMALL, max_bytes=4 * SMALL)
    packets = make(10_000)
    for start in range(0, 10_000, 700):
        writer.write(packets[start : start + 700])
    writer.statistics(5)
    writer.close()
    sizes = [path.stat().st_size for path in folder.iterdir()]
    assert max(sizes) <= SMALL + 100
    assert sum(sizes) <= 4 * SMALL + 100
    reader = JournalReader(folder, follow=False)
    blocks = reader.blocks()
    read = next(blocks)
    assert reader.position == 10_000 - len(packets) + packets.index(read[0])
    read = read + [packet for found in blocks for packet in found]
    missing = len(packets) - len(read)
    assert missing > 1000
    assert packets[missing:] == read
    (loss,) = reader.losses
    assert loss.bytes == captured(packets[:missing])
    assert f"{missing} packets" in loss.reason
    assert (loss.from_time, loss.to_time) == (None, read[0][0])
    assert reader.kernel_drops == 5


@pytest.mark.parametrize("loaded", [100, 9_000])
def test_what_was_loaded_before_it_was_deleted_is_no_loss(folder, loaded):
    writer = JournalWriter(folder, [("lo", 1)], segment_bytes=SMALL, max_bytes=4 * SMALL)
    packets = make(10_000)
    writer.write(packets)
    writer.close()
    reader = JournalReader(folder, follow=False, loaded=loaded)
    blocks = reader.blocks()
    read = next(blocks)
    missing = reader.position - loaded
    assert packets[reader.position] == read[0]
    read_all_of = [packet for found in blocks for packet in found]
    assert len(read) + len(read_all_of) < 9_000
    assert [f"{missing} packets" in loss.reason and loss.bytes is None for loss in reader.losses] == [True] * (missing > 0)


def test_a_reader_that_is_overtaken_says_so(folder):
    writer = JournalWriter(folder, [("lo", 1)], segment_bytes=SMALL, max_bytes=4 * SMALL)
    packets = make(20_000)
    writer.write(packets[:100])
    done = []
    reader = JournalReader(folder, stop=lambda: bool(done))
    blocks = reader.blocks()
    read = next(blocks)
    writer.write(packets[100:])
    writer.close()
    done.append(True)
    read = read + [packet for found in blocks for packet in found]
    (loss,) = reader.losses
    gap = int(loss.reason.split(": ")[1].split()[0])
    held = packets.index(read[-1]) + 1 - gap
    assert held == len(read)  # every packet is read or counted as lost
    first_after = read.index(next(packet for packet, expected in zip(read, packets, strict=False) if packet != expected))
    assert loss.bytes == captured(packets[first_after : first_after + gap])
    assert loss.from_time == packets[first_after - 1][0]


def test_one_packet_larger_than_a_segment(folder):
    writer = JournalWriter(folder, [("lo", 1)], segment_bytes=SMALL, max_bytes=16 * SMALL)
    packets = [(AT, 1, bytes(200_000), 200_000, 2)] * 3
    writer.write(packets)
    writer.close()
    assert read_all(JournalReader(folder, follow=False)) == (packets, None)


def test_runs_follow_one_another(folder):
    identities = set()
    for run in range(3):
        writer = JournalWriter(folder, [("lo", 1)])
        identities.add(writer.identity)
        writer.write(make(10, run * 10))
        writer.statistics(run)
        writer.statistics(run + 1)
        writer.close()
        writer.close()
    reader = JournalReader(folder, follow=False)
    packets, error = read_all(reader)
    assert error is None
    assert packets == make(30)
    assert identities == {reader.identity}
    assert reader.kernel_drops == 6  # 1 + 2 + 3
    assert [loss.reason.partition(":")[0] for loss in reader.losses] == ["the recording was stopped, and started again"] * 2
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("closed", [True, False])
def test_what_lies_between_two_runs_was_not_captured(folder, closed):
    now = time.time_ns()
    packets = [(now + number, *packet[1:]) for number, packet in enumerate(make(3))]
    writer = JournalWriter(folder, [("lo", 1)])
    writer.write(packets)
    if closed:
        writer.close(now + 5)
    else:
        writer.abandon()
    before = time.time_ns()
    JournalWriter(folder, [("lo", 1)]).close()
    reader = JournalReader(folder, follow=False)
    read_all(reader)
    (loss,) = reader.losses
    assert loss.from_time == (now + 5 if closed else packets[-1][0])
    assert before <= loss.to_time <= time.time_ns()
    assert (loss.bytes, loss.messages) == (None, None)
    later = JournalWriter(folder, [("lo", 1)])  # whose first packet had waited in the ring
    later.write([(before + 1, *make(1)[0][1:])])
    later.close()
    reader = JournalReader(folder, follow=False)
    read_all(reader)
    assert reader.losses[-1].to_time == before + 1


def test_following_waits_and_ends_when_told_after_reading_what_is_there(folder):
    done = []
    reader = JournalReader(folder, stop=lambda: bool(done))
    blocks = reader.blocks()
    started = time.monotonic()
    assert next(blocks) == next(blocks) == []
    assert 0.04 < time.monotonic() - started < 1
    writer = JournalWriter(folder, [("lo", 1)])
    writer.write(make(5))
    assert next(block for block in blocks if block) == make(5)
    assert reader.ended_at is None
    assert next(blocks) == []
    writer.write(make(5, 5))
    writer.close()
    done.append(True)
    assert [packet for found in blocks for packet in found] == make(5, 5)
    assert reader.ended_at is not None


CRASHING = """
import os, signal, sys
from pathlib import Path
from sniffer.capture.journal_writer import JournalWriter
writer = JournalWriter(Path(sys.argv[1]), [("lo", 1)])
writer.write([(n, 1, b"%06d" % n, 6, 0) for n in range(1000)])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_is_complete_and_marked(folder):
    child = subprocess.run([sys.executable, "-c", CRASHING, folder], check=False)
    assert child.returncode == -signal.SIGKILL
    reader = JournalReader(folder, follow=False)
    assert [len(found) for found in reader.blocks()] == [1000]
    assert reader.ended_at is None
    writer = JournalWriter(folder, [("lo", 1)])
    writer.write(make(7))
    writer.close()
    reader = JournalReader(folder, follow=False)
    packets, error = read_all(reader)
    assert error is None
    assert len(packets) == 1007
    assert ["without its end" in loss.reason for loss in reader.losses] == [True]


def test_a_torn_end_is_waited_for_and_lost_once_a_newer_segment_is_there(folder):
    writer = JournalWriter(folder, [("lo", 1)])
    writer.write(make(100))
    os.close(writer._lock)  # as if killed inside a batch
    segment = folder / "00000001.pcapng"
    os.truncate(segment, segment.stat().st_size - 50)
    whole = 99
    done = []
    reader = JournalReader(folder, stop=lambda: bool(done))
    blocks = reader.blocks()
    assert len(next(blocks)) == whole
    assert next(blocks) == []
    assert reader.losses == []
    writer = JournalWriter(folder, [("lo", 1)])
    writer.write(make(3))
    writer.close()
    done.append(True)
    assert [packet for found in blocks for packet in found] == make(3)
    torn, unended = reader.losses
    length = 32 + (len(make(100)[-1][2]) + 3) // 4 * 4
    assert torn.bytes == length - 50
    assert "inside a batch" in torn.reason
    assert "without its end" in unended.reason


def test_a_damaged_segment_is_one_loss(folder):
    writer = JournalWriter(folder, [("lo", 1)], segment_bytes=SMALL, max_bytes=64 * SMALL)
    packets = make(3000)
    writer.write(packets)
    writer.close()
    segment = folder / "00000002.pcapng"
    content = bytearray(segment.read_bytes())
    content[30_000:30_100] = b"\xee" * 100
    segment.write_bytes(content)
    reader = JournalReader(folder, follow=False)
    read, error = read_all(reader)
    assert error is None
    (loss,) = reader.losses
    assert "00000002.pcapng" in loss.reason
    assert 0 < loss.bytes <= SMALL
    lost = len(packets) - len(read)
    at = next(index for index, packet in enumerate(read) if packet != packets[index])
    assert read == packets[:at] + packets[at + lost :]


def test_foreign_files_are_left_alone_and_named(folder):
    (folder / "notes.txt").write_text("x")
    (folder / "00000001.pcapng").write_bytes(b"not one of ours")
    writer = JournalWriter(folder, [("lo", 1)])
    writer.write(make(3))
    writer.close()
    reader = JournalReader(folder, follow=False)
    assert read_all(reader)[0] == make(3)
    assert ["00000001.pcapng" in loss.reason for loss in reader.losses] == [True]
    assert (folder / "notes.txt").exists()


def test_segments_of_two_journals(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for path in folder, other:
        writer = JournalWriter(path, [("lo", 1)])
        writer.write(make(3))
        writer.close()
    shutil.copy(other / "00000001.pcapng", folder / "00000002.pcapng")
    with pytest.raises(JournalError, match="two journals"):
        list(JournalReader(folder, follow=False).blocks())


@pytest.mark.parametrize("use", [lambda path: JournalWriter(path, [("lo", 1)]), lambda path: JournalReader(path, follow=False)])
def test_missing_folder(tmp_path, use):
    with pytest.raises(JournalError, match="mkdir"):
        use(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="is not a folder"):
        use(tmp_path / "file")


def test_one_writer_at_a_time(folder):
    writer = JournalWriter(folder, [("lo", 1)])
    with pytest.raises(JournalError, match="another recording"):
        JournalWriter(folder, [("lo", 1)])
    writer.close()
    JournalWriter(folder, [("lo", 1)]).close()


def test_full_disk_loses_nothing(folder, monkeypatch):
    """The disk takes part of a batch, nothing, then has room again: the writer says how much it took, and goes on there."""
    writer = JournalWriter(folder, [("lo", 1)])
    writer.write(make(10))
    writer.settle(1)
    real_write = os.write
    room = [1000]

    def write(descriptor, data):
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = real_write(descriptor, data[: room[0]])
        room[0] -= taken
        return taken

    monkeypatch.setattr(os, "write", write)
    batch = make(20, 10)
    for _ in range(2):
        with pytest.raises(JournalError, match="No space left on device"):
            writer.write(batch[writer.ahead() :])
    assert 0 < writer.ahead() < 20
    monkeypatch.setattr(os, "write", real_write)
    writer.write(batch[writer.ahead() :])
    writer.close()
    reader = JournalReader(folder, follow=False)
    assert read_all(reader) == (make(30), None)
    assert reader.losses == []
    assert [path.name for path in folder.iterdir()] == ["00000001.pcapng"]


def test_where_nothing_can_be_cut_off_a_torn_packet_stays_and_is_a_loss(folder, monkeypatch):
    """A disk that fails altogether: whole packets count, and what follows begins a segment of its own."""
    writer = JournalWriter(folder, [("lo", 1)])

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    real_write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", fail)
        patch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, data[:301]) if len(data) > 800 else fail())
        with pytest.raises(JournalError, match="Input/output error"):
            writer.write(make(20))
    writer.write(make(20)[writer.ahead() :])
    writer.close()
    reader = JournalReader(folder, follow=False)
    assert read_all(reader) == (make(20), None)
    assert [loss.reason.split(": ")[1] for loss in reader.losses] == ["its writer was stopped inside a batch"]


def test_a_vanished_folder_is_noticed_and_written_again_when_it_is_back(folder):
    writer = JournalWriter(folder, [("lo", 1)])
    writer.write(make(10))
    writer.verify()
    shutil.rmtree(folder)
    with pytest.raises(JournalError, match="no such journal folder"):
        writer.verify()
    with pytest.raises(JournalError, match="no such journal folder"):
        writer.write(make(5, 10))
    folder.mkdir()
    writer.write(make(5, 10))
    writer.close()
    reader = JournalReader(folder, follow=False)
    assert read_all(reader) == (make(5, 10), None)
    assert ["10 packets" in loss.reason for loss in reader.losses] == [True]


# --- a writer that takes another's place -----------------------------------------------------------------------------------


def two_interfaces(count):
    """Packets of two interfaces, and of which one each is."""
    return [((at, (1, 101)[n % 3 == 0], *rest), int(n % 3 == 0)) for n, (at, _, *rest) in enumerate(make(count))]


@pytest.mark.parametrize("cut", [*range(0, 700, 29), 10_000])
def test_another_writer_goes_on_wherever_the_first_was_killed(folder, cut):
    """Killed `cut` bytes behind its last mark: each interface's packets follow one another, none missing, none twice."""
    marks = []
    interfaces = [("lo", 1), ("tun0", 101)]
    writer = JournalWriter(folder, interfaces, commit=marks.append)
    batches = {index: [packet for packet, of in two_interfaces(60) if of == index] for index in range(2)}
    writer.write(batches[0][:5], 0)
    writer.settle(1, 0)
    mark = marks[-1]
    writer.write(batches[0][5:15], 0)
    writer.statistics(3)
    writer.write(batches[1][:4], 1)
    segment = folder / "00000001.pcapng"
    os.truncate(segment, min(mark.size + cut, segment.stat().st_size))
    follower = JournalReader(folder, stop=lambda: True)
    seen = next(follower.blocks())

    writer.resume(mark, 3)
    ahead = writer.ahead(0), writer.ahead(1)
    assert ahead[0] in range(11)
    assert ahead[1] in range(5)
    for index in range(2):
        start = 5 if index == 0 else 0
        writer.write(batches[index][start + ahead[index] :], index)
        writer.settle(2, index)
    writer.close()
    reader = JournalReader(folder, follow=False)
    packets, _ = read_all(reader)
    assert [packet for packet in packets if packet[1] == 1] == batches[0]
    assert [packet for packet in packets if packet[1] == 101] == batches[1]
    assert packets[: len(seen)] == seen, "nothing that a reader has seen may change"
    assert reader.losses == []
    assert marks[-1].packets == 60
    assert writer.written == (60, captured(packets))


def test_another_writer_goes_on_over_segments(folder):
    """The marks of a batch that filled several segments say what of it stands there, also where the newest never appeared."""
    marks = []
    writer = JournalWriter(folder, [("lo", 1)], segment_bytes=SMALL, commit=marks.append)
    packets = make(2000)
    writer.write(packets[:1500])
    assert marks[-1].segment > 2
    (folder / f"{marks[-1].segment:08}.pcapng").unlink()
    writer.resume(marks[-1], None)
    writer.write(packets[writer.ahead() :])
    writer.close()
    reader = JournalReader(folder, follow=False)
    assert read_all(reader) == (packets, None)
    assert reader.losses == []


@pytest.mark.parametrize("written", [0, 4, 10])
def test_packets_that_died_with_their_process_are_counted(folder, written):
    """A process held 10 packets while the disk was full, wrote some of them, and was killed: the next segment's head tells."""
    marks = []
    writer = JournalWriter(folder, [("lo", 1)], commit=marks.append)
    packets = make(40)
    writer.write(packets[:20])
    writer.settle(1, 0, held=(10, captured(packets[20:30])))
    mark = marks[-1]
    writer.write(packets[20 : 20 + written])
    writer.resume(mark, None)
    assert writer.ahead() == 0, "what follows is new"
    writer.write(packets[30:])
    writer.close()
    reader = JournalReader(folder, follow=False)
    assert read_all(reader) == (packets[: 20 + written] + packets[30:], None)
    reasons = [(loss.reason, loss.bytes) for loss in reader.losses]
    missing = packets[20 + written : 30]
    text = f"the journal could not be written, and the capture process was killed: {len(missing)} packets"
    assert reasons == ([(text, captured(missing))] if missing else [])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to write where root writes")
def test_a_segment_belongs_to_the_folders_owner(folder):
    os.chown(folder, 12345, 12346)
    JournalWriter(folder, [("lo", 1)]).close()
    status = (folder / "00000001.pcapng").stat()
    assert (status.st_uid, status.st_gid) == (12345, 12346)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder(folder):
    folder.chmod(0o500)
    with pytest.raises(JournalError, match="cannot write"):
        JournalWriter(folder, [("lo", 1)])


def test_random_batches_while_a_reader_follows(folder):
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    writer = JournalWriter(folder, [("lo", 1)], segment_bytes=SMALL, max_bytes=1000 * SMALL)
    done = []
    reader = JournalReader(folder, stop=lambda: bool(done))
    blocks = reader.blocks()
    written, read = [], []
    for _ in range(100):
        batch = [
            (AT + rng.randrange(10**9), 1, rng.randbytes(rng.choice((0, 1, 66, 1500))), rng.randrange(2**16), rng.randrange(3))
            for _ in range(rng.randrange(200))
        ]
        writer.write(batch)
        written += batch
        while len(read) < len(written) - 500:
            read += next(blocks)
    writer.close()
    done.append(True)
    read += [packet for found in blocks for packet in found]
    assert read == written
    assert reader.losses == []
