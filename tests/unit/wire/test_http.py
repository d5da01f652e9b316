from __future__ import annotations

import time

import pytest

from sniffer.config import Limits
from sniffer.snapshot import dump, load
from sniffer.wire.disorder import Disorder
from sniffer.wire.http import HttpConversation, HttpError, HttpGap, header
from sniffer.wire.stream import Gap
from tests.cost import assert_grows_linearly
from tests.frames import request, response

GET = b"GET /api/v3/time HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /api/v3/order HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=1"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Talk:
    """A conversation, and the offsets of its sides."""

    def __init__(self, *, first_request_seen: bool = True, limits: Limits | None = None) -> None:
        nothing_yet = ({"client": 0, "server": 0}, {"client": 0, "server": 0})
        self.disorder = Disorder()
        self.http = HttpConversation(
            limits or Limits(),
            *nothing_yet,  # type: ignore[arg-type]
            first_request_seen=first_request_seen,
            disorder=self.disorder,
        )
        self.offsets = {"client": 0, "server": 0}
        self.time = 0

    def say(self, sender: str, *parts: bytes) -> Talk:
        for data in parts:
            self.http.feed(sender, (self.offsets[sender], self.time, data))  # type: ignore[arg-type]
            self.offsets[sender] += len(data)
            self.time += 1
        return self

    def gap(self, sender: str) -> None:
        self.http.feed(sender, Gap(self.offsets[sender], self.time, 5, "not captured"))  # type: ignore[arg-type]
        self.offsets[sender] += 5

    @property
    def got(self) -> list[tuple[str, str | None, int | None, bytes]]:
        return [(who, message[5].method, message[5].status, message[4]) for who, message in self.http.messages if message[5]]

    def rest(self, sender: str) -> bytes:
        return b"".join(item[2] for item in self.http.rest(sender) if isinstance(item, tuple))  # type: ignore[arg-type]


def test_a_request_and_its_response() -> None:
    talk = Talk().say("client", GET).say("server", OK)
    assert talk.got == [("client", "GET", None, b""), ("server", "GET", 200, b"ok")]
    assert talk.http.positions == {"client": 1, "server": 1}


def test_one_byte_at_a_time() -> None:
    talk = Talk().say("client", *[GET[at : at + 1] for at in range(len(GET))])
    talk.say("server", *[OK[at : at + 1] for at in range(len(OK))])
    assert len(talk.got) == 2
    assert talk.http.messages[0][1][1:3] == (0, len(GET) - 1)


def test_pipelined_requests_are_answered_in_order() -> None:
    post = b"POST /order HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=1"
    head = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
    talk = Talk().say("client", GET + head + post)
    talk.say("server", OK + b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + OK)
    assert talk.got[3:] == [("server", "GET", 200, b"ok"), ("server", "HEAD", 200, b""), ("server", "POST", 200, b"ok")]
    assert talk.got[2][3] == b"a=1"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nTrailer: 1\r\n\r\n", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, b"ok"),
    ],
)
def test_how_long_a_response_is(answer: bytes, body: bytes) -> None:
    talk = Talk().say("client", GET + GET).say("server", answer + OK)
    assert [got[3] for got in talk.got[2:]] == [body, b"ok"]


def test_a_response_before_its_request_waits() -> None:
    """The sides settle apart from each other."""
    talk = Talk().say("server", OK)
    assert talk.got == []
    assert talk.http.held_bytes() == len(OK)
    talk.say("client", GET)
    assert len(talk.got) == 2


def test_an_upgrade_with_data_behind_it() -> None:
    talk = Talk().say("client", GET + request() + b"frames").say("server", OK + response() + b"more frames")
    assert talk.http.switched is not None
    asked, answered = talk.http.switched
    assert asked is not None
    assert (asked.target, answered.status) == ("/ws", 101)
    assert header(answered, "upgrade") == "websocket"
    assert (talk.rest("client"), talk.rest("server")) == (b"frames", b"more frames")


def test_a_refused_upgrade_goes_on_as_http() -> None:
    talk = (
        Talk().say("client", request()).say("client", GET).say("server", b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n" + OK)
    )
    assert [got[2] for got in talk.got] == [None, None, 403, 200] or [got[2] for got in talk.got] == [None, 403, None, 200]
    assert talk.http.switched is None


def test_a_hole_behind_a_proposed_upgrade_belongs_to_what_follows() -> None:
    talk = Talk().say("client", request())
    talk.gap("client")
    talk.say("client", b"frames").say("server", response())
    assert talk.http.switched is not None
    assert not talk.http.client_lost
    kinds = [type(item) for item in talk.http.rest("client")]
    assert kinds == [Gap, tuple]


def test_a_hole_in_the_requests_leaves_the_answers() -> None:
    """Which request they answer could only be guessed, so nobody says."""
    talk = Talk().say("client", GET[:10])
    talk.gap("client")
    talk.say("client", GET).say("server", OK)
    assert talk.got == [("server", None, 200, b"ok")]
    assert talk.http.torn == [("client", 0, 0, 10)]
    assert talk.rest("client") == GET
    for _ in range(400):
        talk.say("client", GET).say("server", OK)
    assert len(talk.got) == 401
    passed_over = b"".join(data for _, _, data in talk.http.passed_over)
    assert len(passed_over) >= 145 * len(GET)
    assert passed_over + talk.rest("client") == GET * 401


HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD_ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
)
OTHER_ANSWERS = (
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", b"ab"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTT", b"HTT"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
)


def hole_in_the_requests() -> Talk:
    talk = Talk()
    talk.gap("client")
    return talk


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("joined_midway", [True, False])
def test_an_answer_that_may_be_to_a_head_is_as_long_as_what_follows_it_says(size: int, joined_midway: bool) -> None:
    for answer, body in [(answer, b"") for answer in HEAD_ANSWERS] + list(OTHER_ANSWERS):
        talk = Talk(first_request_seen=False) if joined_midway else hole_in_the_requests()
        data = OK + answer + OK
        talk.say("server", *[data[at : at + size] for at in range(0, len(data), size)])
        assert [got[3] for got in talk.got] == [b"ok", body, b"ok"], answer
        assert not talk.http.held_bytes()


@pytest.mark.parametrize("answer", HEAD_ANSWERS)
def test_an_answer_that_nobody_knows_the_length_of_waits(answer: bytes) -> None:
    talk = hole_in_the_requests().say("server", answer, b"HTTP/1")
    assert not talk.got
    assert talk.rest("server") == answer + b"HTTP/1"
    head = talk.say("server", b".1 200").http.messages[0][1]
    assert head[1:3] == (0, 0)  # the application had it before what proves it
    assert talk.http.held_bytes() == len("HTTP/1.1 200")


def test_a_snapshot_before_the_length_is_known() -> None:
    talk, data = hole_in_the_requests(), HEAD_ANSWERS[0] + OK
    shared = {"limits": talk.http._limits}
    for at in range(len(data)):
        talk.http = load(dump(talk.http, shared), shared)
        talk.say("server", data[at : at + 1])
    assert [got[3] for got in talk.got] == [b"", b"ok"]


def test_a_hole_behind_an_answer_of_unknown_length() -> None:
    talk = hole_in_the_requests().say("server", OK[:-2] + b"H")
    with pytest.raises(HttpGap):
        talk.gap("server")
    assert not talk.got
    assert talk.rest("server") == OK[:-2] + b"H"


def test_without_a_length_a_body_or_a_tunnel_may_follow() -> None:
    with pytest.raises(HttpError, match="either a body or a tunnel"):
        hole_in_the_requests().say("server", b"HTTP/1.1 200 OK\r\n\r\n\x16\x03")
    talk = hole_in_the_requests().say("server", b"HTTP/1.1 404 Not Found\r\n\r\nno")
    talk.http.end("server", 9, True)
    assert [got[3] for got in talk.got] == [b"no"]


HELD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsent"
BEHIND_A_HOLE = b"an answer to a request that was not captured, and either its body or another answer follows"


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("length", [len(HELD), None])
def test_a_body_that_begins_as_an_answer_does_is_no_answer(length: int | None, size: int) -> None:
    """It may as well be one, behind the answer to a HEAD: nothing tells, so nothing is said."""
    head = b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: %d\r\n" % length if length else b"") + b"\r\n"
    talk, data = hole_in_the_requests(), OK + head + HELD + OK
    with pytest.raises(HttpError, match=BEHIND_A_HOLE.decode()):
        talk.say("server", *[data[at : at + size] for at in range(0, len(data), size)])
    assert [got[3] for got in talk.got] == [b"ok"]


def test_a_long_body_that_begins_as_an_answer_does_waits_in_proportion() -> None:
    def run(count: int) -> float:
        talk = hole_in_the_requests().say("server", b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + HELD)
        begin = time.process_time()
        talk.say("server", *[b"x" * 200] * count)
        assert not talk.got
        return time.process_time() - begin

    assert_grows_linearly(run, 4000)


def test_requests_from_before_a_hole_have_their_answers() -> None:
    talk = Talk().say("client", GET + HEAD + GET[:9])
    talk.gap("client")
    talk.say("server", OK + HEAD_ANSWERS[0] + OK)
    assert talk.got[2:] == [("server", "GET", 200, b"ok"), ("server", "HEAD", 200, b""), ("server", None, 200, b"ok")]


def test_an_answer_of_unknown_length_is_not_that_of_a_later_request() -> None:
    talk = Talk(first_request_seen=False).say("server", b"", HEAD_ANSWERS[0]).say("client", GET).say("server", OK)
    assert talk.got == [("client", "GET", None, b""), ("server", None, 200, b""), ("server", None, 200, b"ok")]
    talk = Talk(first_request_seen=False).say("server", OK[:-1]).say("client", GET).say("server", b"k" + OK)
    assert talk.got == [("client", "GET", None, b""), ("server", None, 200, b"ok"), ("server", None, 200, b"ok")]
    talk = Talk(first_request_seen=False).say("server", b"").say("client", GET).say("server", OK)
    assert talk.got == [("client", "GET", None, b""), ("server", None, 200, b"ok")]


def test_a_hole_in_the_answers_ends_it() -> None:
    talk = Talk().say("client", GET).say("server", OK[:20])
    with pytest.raises(HttpGap):
        talk.gap("server")


def test_joined_in_the_middle_answers_come_first() -> None:
    talk = Talk(first_request_seen=False).say("server", OK).say("client", POST).say("server", OK)
    talk.say("client", GET + GET).say("server", OK + OK)
    assert [got[:2] for got in talk.got if got[0] == "server"] == [
        ("server", None),
        ("server", None),
        ("server", "GET"),
        ("server", "GET"),
    ]


@pytest.mark.parametrize(
    "said",
    [
        [GET, OK, GET, OK, GET, OK, GET, OK],  # any of them may have been sent before an answer to an earlier one
        [POST, OK + OK, GET, OK],  # one of the answers is to a request from before
        [POST, POST, OK, GET, OK],  # a client that does not wait
        [POST, OK[:-1], GET, b"k" + OK],
        [POST, OK, POST[:-1], OK, POST[-1:], OK],
        [POST, HEAD_ANSWERS[0], GET, OK],  # whether that was one answer was not known when the next request was sent
        [POST, OK, GET[:-2], OK, GET[-2:], OK],
    ],
)
def test_joined_in_the_middle_an_answer_may_be_to_an_earlier_request(said: list[bytes]) -> None:
    talk = Talk(first_request_seen=False)
    for data in said:
        talk.say("server" if data.startswith((b"HTTP", b"k")) else "client", data)
    assert {got[1] for got in talk.got if got[0] == "server"} == {None}


def test_joined_in_the_middle_what_may_have_come_in_another_order_proves_nothing() -> None:
    for begin, end in ((0, 0), (1, 2), (2, 2), (3, 3)):
        talk = Talk(first_request_seen=False)
        talk.disorder.note(begin, end)
        talk.say("client", POST).say("server", OK).say("client", GET).say("server", OK)
        assert {got[1] for got in talk.got if got[0] == "server"} == {None}
        talk.say("client", POST).say("server", OK).say("client", POST).say("server", OK)
        assert [got[1] for got in talk.got if got[0] == "server"][2:] == [None, "POST"]


def test_joined_in_the_middle_an_upgrade_is_that_of_the_request_that_proposed_it() -> None:
    talk = Talk(first_request_seen=False).say("server", OK).say("client", request()).say("server", OK + response())
    assert talk.http.switched is not None
    assert talk.http.switched[0] is not None
    assert talk.http.switched[0].target == "/ws"


def test_a_body_until_the_end_needs_an_orderly_end() -> None:
    for orderly in (True, False):
        talk = Talk().say("client", GET).say("server", b"HTTP/1.0 200 OK\r\n\r\nall of it")
        talk.http.end("server", 9, orderly)
        assert [got[3] for got in talk.got[1:]] == ([b"all of it"] if orderly else [])


def test_an_end_inside_a_body_of_known_length_gives_nothing() -> None:
    talk = Talk().say("client", GET).say("server", OK[:-1])
    talk.http.end("server", 9, True)
    assert len(talk.got) == 1
    talk.http.tear("server")
    assert talk.http.torn == [("server", 0, 1, len(OK) - 1)]


def test_connect_ends_http() -> None:
    talk = (
        Talk().say("client", b"CONNECT ex:443 HTTP/1.1\r\nHost: ex\r\n\r\n").say("server", b"HTTP/1.1 200 OK\r\n\r\n\x16\x03")
    )
    assert talk.http.switched is not None
    assert talk.rest("server") == b"\x16\x03"


@pytest.mark.parametrize(
    "bad",
    [
        b"GET / HTTP/1.1\r\nX-MBX-APIKEY secret-key\r\n\r\n",
        b"GET /?signature=secret-key\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: secret-key\r\n\r\n",
        b"GET / HTTP/9.9 secret-key\r\n\r\n",
        b"\x00\x01secret-key\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_without_quoting_it(bad: bytes) -> None:
    with pytest.raises(HttpError) as error:
        Talk().say("client", bad)
    assert "secret-key" not in str(error.value)


def test_limits() -> None:
    limits = Limits(header_bytes=1000, body_bytes=2000, fragments=50)
    with pytest.raises(HttpError):
        Talk(limits=limits).say("client", b"GET / HTTP/1.1\r\nX: " + b"x" * 2000)
    with pytest.raises(HttpError, match="body over 2000"):
        Talk(limits=limits).say("client", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", b"x" * 3000)
    with pytest.raises(HttpError, match="belong to no message"):
        Talk(limits=limits).say("server", b"x" * 3000)
    with pytest.raises(HttpError, match="belong to no message"):
        Talk(limits=limits).say("server", *[b"x"] * 60)
    with pytest.raises(HttpError, match="without an answer"):
        Talk(limits=limits).say("client", *[GET] * 2000)


def test_a_flood_of_small_segments_takes_time_in_proportion() -> None:
    def run(count: int) -> float:
        talk = Talk(limits=Limits(fragments=1 << 20))
        begin = time.process_time()
        talk.say("server", *[b"x"] * count)
        return time.process_time() - begin

    assert_grows_linearly(run, 4000)
