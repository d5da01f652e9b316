from __future__ import annotations

import time
import zlib

import pytest

from sniffer.wire.deflate import Deflate, InflateError, Inflater, UnknownExtension, parse_extensions
from tests.frames import Deflater

LIMIT = 1 << 20


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("permessage-deflate", Deflate()),
        ("Permessage-Deflate ; Server_No_Context_Takeover", Deflate(server_takeover=False)),
        ("permessage-deflate; client_no_context_takeover", Deflate(client_takeover=False)),
        ("permessage-deflate; server_max_window_bits=12", Deflate(server_window_bits=12)),
        ('permessage-deflate; client_max_window_bits="9"', Deflate(client_window_bits=9)),
    ],
)
def test_what_was_agreed_on(header: str, expected: Deflate | None) -> None:
    assert parse_extensions(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "x-webkit-deflate-frame",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate, foo",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=-9",
        "permessage-deflate; client_max_window_bits=09",
        "permessage-deflate; client_max_window_bits=+9",
        "permessage-deflate; client_max_window_bits=1_0",
        "permessage-deflate; server_max_window_bits=\xb2",  # a digit to Python, and no number
        "permessage-deflate; server_max_window_bits=1\xb9",
        "permessage-deflate; server_max_window_bits=\u0669",
        "permessage-deflate; server_max_window_bits=" + "9" * 5000,
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; what=ever",
    ],
)
def test_what_is_not_known_is_refused(header: str) -> None:
    with pytest.raises(UnknownExtension):
        parse_extensions(header)


@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize("takeover", [True, False])
def test_messages_come_back(bits: int, takeover: bool) -> None:
    deflate, inflater = Deflater(bits, takeover), Inflater(takeover, bits, LIMIT)
    for number in range(50):
        message = b'{"e":"executionReport","i":%d}' % number * (number * 20)
        assert inflater.inflate(deflate(message)) == message


def test_a_window_larger_than_agreed_is_not_read() -> None:
    deflate, inflater = Deflater(15), Inflater(True, 9, LIMIT)
    first = bytes(range(256)) * 8
    assert inflater.inflate(deflate(first)) == first
    far = b"".join(bytes([at % 251, at // 251]) for at in range(3000))
    assert inflater.inflate(deflate(far)) == far
    with pytest.raises(InflateError):
        inflater.inflate(deflate(first))
    with pytest.raises(InflateError, match="could not be inflated"):
        inflater.inflate(deflate(b"and no more"))


def test_a_poisoned_stream_stays_so() -> None:
    deflate, inflater = Deflater(), Inflater(True, 15, LIMIT)
    lost = deflate(b'{"price":"100.10"}')
    inflater.poison("after lost bytes")
    assert lost
    with pytest.raises(InflateError, match="after lost bytes"):
        inflater.inflate(deflate(b'{"price":"100.20"}'))


def test_messages_that_stand_alone_survive_a_loss() -> None:
    deflate, inflater = Deflater(takeover=False), Inflater(False, 15, LIMIT)
    deflate(b"lost")
    inflater.poison("after lost bytes")
    assert inflater.inflate(deflate(b"there")) == b"there"
    with pytest.raises(InflateError):
        inflater.inflate(b"\xff\xff\xff")
    assert inflater.inflate(deflate(b"again")) == b"again"


def test_a_message_over_the_limit() -> None:
    deflate, inflater = Deflater(takeover=False), Inflater(False, 15, 1000)
    assert inflater.inflate(deflate(bytes(1000))) == bytes(1000)
    with pytest.raises(InflateError, match="more than 1000"):
        inflater.inflate(deflate(bytes(1001)))
    with pytest.raises(InflateError, match="more than 1000"):
        inflater.inflate(deflate(bytes(100_000_000)))


def ended(text: bytes, window: bytes = b"") -> bytes:
    """A deflate stream of its own, with BFINAL set."""
    context = zlib.compressobj(wbits=-15, zdict=window) if window else zlib.compressobj(wbits=-15)
    return context.compress(text) + context.flush(zlib.Z_FINISH)


def test_final_blocks() -> None:
    """RFC 7692 section 7.2.3.4: a sender may end its stream, and goes on with the same window."""
    inflater = Inflater(True, 15, LIMIT)
    text = b'{"e":"executionReport","X":"NEW"}'
    assert inflater.inflate(ended(text) + b"\0") == text
    assert inflater.inflate(ended(text, text) + b"\0") == text


def test_the_window_of_final_blocks_is_the_text_before_them() -> None:
    inflater, text = Inflater(True, 15, LIMIT), b""
    for number in range(300):
        message = b"%d %d " % (number, number * number) * 100
        assert inflater.inflate(ended(message, text[-32_768:]) + b"\0") == message
        text += message
    assert sum(len(part) for part in inflater._history) <= 3 * 32_768


def test_endless_final_blocks_cost_nothing() -> None:
    """Each ends a stream of no text; there are a million in two megabytes."""
    begin = time.process_time()
    with pytest.raises(InflateError, match="endless"):
        Inflater(True, 15, LIMIT).inflate(b"\x03\x00" * 1_000_000)
    assert time.process_time() - begin < 1


def test_no_deflate_data() -> None:
    with pytest.raises(InflateError, match="not deflate data"):
        Inflater(False, 15, LIMIT).inflate(b"\x07nonsense")
