"""RFC 7692: permessage-deflate in every combination of its parameters, and all the ways to end a block."""

from __future__ import annotations

import itertools
import random

from pcaps.kit.files import record
from pcaps.kit.frames import BINARY, CONTINUATION, PING, RSV1, TEXT, frame, upgrade_request, upgrade_response
from pcaps.kit.talk import Talk
from pcaps.kit.truth import Capture, capture

PLAIN = "permessage-deflate"


def update(n: int) -> str:
    """Messages that repeat each other but for their numbers, as order updates do."""
    return f'{{"e":"executionReport","s":"EXMUSDT","i":{5000 + n},"X":"{("NEW", "FILLED")[n % 2]}","p":"{n}.25000000"}}'


def started(chosen: str = PLAIN, **how: str | tuple[int, int]) -> Talk:
    return Talk().open().upgrade(chosen, **how)  # type: ignore[arg-type]  # of several types


def updates(talk: Talk, first: int = 0, count: int = 4) -> Talk:
    for n in range(first, first + count):
        talk.say("server", update(n))
        talk.say("client", f'{{"id":{n},"method":"order.status"}}')
    return talk


def usual(chosen: str, **how: str | tuple[int, int]) -> Capture:
    return record(updates(started(chosen, **how)).close())


@capture("context takeover on both sides: each message refers back to those before it", rfc="RFC 7692 7.1.1")
def takeover() -> Capture:
    return usual(PLAIN)


@capture("no context takeover on either side", rfc="RFC 7692 7.1.1")
def no_takeover() -> Capture:
    return usual(f"{PLAIN}; client_no_context_takeover; server_no_context_takeover")


@capture("no context takeover for the server only", rfc="RFC 7692 7.1.1.1")
def no_takeover_server() -> Capture:
    return usual(f"{PLAIN}; server_no_context_takeover")


@capture("no context takeover for the client only", rfc="RFC 7692 7.1.1.2")
def no_takeover_client() -> Capture:
    return usual(f"{PLAIN}; client_no_context_takeover")


@capture("windows of 12 bits for the server and 10 for the client", rfc="RFC 7692 7.1.2")
def window_bits() -> Capture:
    talk = started(f"{PLAIN}; server_max_window_bits=12; client_max_window_bits=10", bits=(10, 12))
    noise = random.Random(12)
    for n in range(6):
        filler = "".join(noise.choices("abcdefghij", k=900))
        talk.say("server", update(n) + filler)
        talk.say("client", filler)
    return record(updates(talk, 6).close())


@capture("a window of 8 bits, which zlib cannot compress with but RFC 7692 allows", rfc="RFC 7692 7.1.2.1")
def window_bits_8() -> Capture:
    return usual(f"{PLAIN}; server_max_window_bits=8", bits=(15, 8))


@capture("a parameter's value in quotes", rfc="RFC 6455 9.1")
def window_bits_quoted() -> Capture:
    return usual(f'{PLAIN}; server_max_window_bits="10"', bits=(15, 10))


@capture("matches that reach 32 kB back, over several messages", rfc="RFC 7692 7.1.2")
def window_far() -> Capture:
    talk = started()
    noise = random.Random(15)
    text = "".join(noise.choices("0123456789", k=15_000))
    talk.say("server", text)
    talk.say("server", "".join(noise.choices("abcdefgh", k=15_000)))
    talk.say("server", text[:9000])
    return record(updates(talk).close())


@capture("client_max_window_bits offered without a value and not answered: 15 bits", rfc="RFC 7692 7.1.2.2")
def window_offered_only() -> Capture:
    return usual(PLAIN, offer=f"{PLAIN}; client_max_window_bits")


@capture("several offers, of which the server takes the second", rfc="RFC 7692 5.1")
def several_offers() -> Capture:
    chosen = f"{PLAIN}; server_no_context_takeover"
    return usual(chosen, offer=f"{PLAIN}; server_max_window_bits=9; server_no_context_takeover, {chosen}, x-other")


@capture("compression offered and not accepted: RSV1 is never set", rfc="RFC 7692 5")
def declined() -> Capture:
    talk = Talk().open().upgrade(offer=PLAIN)
    return record(updates(talk).close())


@capture(
    "the parameters spread over two Sec-WebSocket-Extensions lines of the request, in odd case in the answer",
    rfc="RFC 6455 9.1",
)
def header_spelling_deflate() -> Capture:
    talk = Talk().open()
    talk.send("client", upgrade_request("x-other", more=f"sec-websocket-extensions:{PLAIN};client_max_window_bits\r\n"))
    chosen = f"{PLAIN} ;server_no_context_takeover ; client_max_window_bits = 11"
    talk.send("server", upgrade_response(chosen))
    talk.compress(chosen, (11, 15))
    return record(updates(talk).close())


def fragmented(between: bytes) -> Talk:
    """Compressed messages in five fragments, cut anywhere, with `between` after the second."""
    talk = updates(started(), 0, 2)
    for n in range(2, 5):
        data = talk.deflaters["server"].message((update(n) * 3).encode())
        cuts = [0, 1, 2, len(data) // 2, len(data) - 1, len(data)]
        parts = [data[a:b] for a, b in itertools.pairwise(cuts)]
        frames = [frame(parts[0], TEXT, fin=False, rsv=RSV1)]
        frames += [frame(part, CONTINUATION, fin=i == 3) for i, part in enumerate(parts[1:])]
        talk.send("server", b"".join([*frames[:2], between, *frames[2:]]))
        if between:
            talk.expect("server", b"beat", "ping")
        talk.expect("server", update(n) * 3)
    return updates(talk, 5, 2)


@capture("compressed messages in five fragments cut anywhere, RSV1 on the first only", rfc="RFC 7692 6.1")
def compressed_fragments() -> Capture:
    return record(fragmented(b"").close())


@capture("the same with a ping, which has no RSV1, between the fragments", rfc="RFC 7692 6.1; RFC 6455 5.4")
def compressed_fragments_control() -> Capture:
    return record(fragmented(frame(b"beat", PING)).close())


@capture("the last fragment of a compressed message is empty", rfc="RFC 7692 6.1")
def compressed_fragments_empty_end() -> Capture:
    talk = updates(started(), 0, 1)
    data = talk.deflaters["server"].message(update(1).encode())
    talk.send("server", frame(data, TEXT, fin=False, rsv=RSV1) + frame(b"", CONTINUATION))
    talk.expect("server", update(1))
    return record(updates(talk, 2, 2).close())


@capture("uncompressed messages between compressed ones: they stay out of the window", rfc="RFC 7692 6")
def uncompressed_between() -> Capture:
    talk = started()
    for n in range(6):
        talk.say("server", update(n), compress=n % 2 == 0)
        talk.say("client", update(n), compress=n % 3 == 0)
    talk.say("server", bytes(range(256)), "binary", compress=False)
    return record(updates(talk, 6, 2).close())


@capture("only the server ever compresses", rfc="RFC 7692 6")
def one_side_compresses() -> Capture:
    talk = started()
    del talk.deflaters["client"]
    return record(updates(talk).close())


@capture("an empty message, compressed: one byte 00", rfc="RFC 7692 7.2.3.6")
def empty_compressed() -> Capture:
    talk = updates(started(), 0, 1)
    talk.send("server", frame(b"\x00", TEXT, rsv=RSV1) + frame(b"\x02\x00", BINARY, rsv=RSV1))
    talk.expect("server", "")
    talk.expect("server", b"", "binary")
    return record(updates(talk, 1, 2).close())


@capture("stored blocks, which compress nothing, mixed with compressed ones that refer back into them", rfc="RFC 7692 7.2.3.3")
def stored_blocks() -> Capture:
    talk = started()
    for n in range(6):
        block = "stored" if n % 2 == 0 else "fixed"
        talk.send("server", frame(talk.deflaters["server"].message(update(n).encode(), block=block), TEXT, rsv=RSV1))
        talk.expect("server", update(n))
    return record(talk.close())


@capture(
    "a message of several blocks, flushed between them: 00 00 ff ff stays inside, and is cut off at the end only",
    rfc="RFC 7692 7.2.3.5",
)
def several_blocks() -> Capture:
    talk = updates(started(), 0, 1)
    deflater = talk.deflaters["server"]
    data = deflater.flushed(update(1).encode()) + deflater.flushed(b"", block="stored") + deflater.message(update(2).encode())
    talk.send("server", frame(data, TEXT, rsv=RSV1))
    talk.expect("server", update(1) + update(2))
    return record(updates(talk, 3, 2).close())


@capture(
    "a message ends in a block with BFINAL set; the stream of the next message begins anew in the same window",
    rfc="RFC 7692 7.2.3.4",
)
def final_block() -> Capture:
    talk = updates(started(f"{PLAIN}; server_no_context_takeover"), 0, 1)
    for n in range(1, 4):
        talk.send("server", frame(talk.deflaters["server"].message(update(n).encode(), final=True), TEXT, rsv=RSV1))
        talk.expect("server", update(n))
    return record(updates(talk, 4, 2).close())


@capture("BFINAL with context takeover, and later messages that refer back across it", rfc="RFC 7692 7.2.3.4")
def final_block_takeover() -> Capture:
    talk = updates(started(), 0, 1)
    talk.send("server", frame(talk.deflaters["server"].message(update(1).encode(), final=True), TEXT, rsv=RSV1))
    talk.expect("server", update(1))
    return record(updates(talk, 2, 3).close())


@capture("30 kB of repetition in 400 bytes: no bomb, only a snapshot")
def well_compressed() -> Capture:
    talk = updates(started(), 0, 1)
    talk.say("server", '["0.00000000","0.00000000"],' * 1100)
    return record(updates(talk, 1, 2).close())
