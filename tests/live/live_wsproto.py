"""A websocket client on `wsproto`: as much of the interface of `websockets`' connections as the random traffic needs."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate


class WsprotoClient:
    """One connection over `sock`. `deflate`: parameters of the offer, or None for no compression."""

    def __init__(
        self, sock: socket.socket, url: str, deflate: dict[str, Any] | None, secure: ssl.SSLContext | None = None
    ) -> None:
        self.extensions: str | None = None
        """What was agreed on, as wsproto understands it."""
        self._sock, self._url, self._secure = sock, urlsplit(url), secure
        self._offer = [PerMessageDeflate(**deflate)] if deflate is not None else []
        self._wire = WSConnection(ConnectionType.CLIENT)
        self._messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._pongs: dict[bytes, asyncio.Future[None]] = {}
        self._parts: list[Any] = []
        self._accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        self._sock.setblocking(False)
        self._reader, self._writer = await asyncio.open_connection(
            sock=self._sock, ssl=self._secure, server_hostname="exchange.example" if self._secure else None
        )
        self._task = asyncio.create_task(self._read())
        await self._send(Request(host=self._url.netloc, target=self._url.path, extensions=list(self._offer)))
        await self._accepted

    async def send(self, message: str | bytes | AsyncIterator[bytes], text: bool | None = None) -> None:
        """Each part becomes a frame; as `wsproto` takes text only as text, parts of it are cut between characters."""
        is_text = isinstance(message, str) or bool(text)
        waiting: bytes | None = None
        rest = b""
        if isinstance(message, str | bytes):
            waiting = message.encode() if isinstance(message, str) else message
        else:
            async for part in message:
                if waiting is not None:
                    rest = await self._part(rest + waiting, is_text, last=False)
                waiting = part
        assert waiting is not None
        await self._part(rest + waiting, is_text, last=True)

    async def ping(self, payload: bytes) -> asyncio.Future[None]:
        self._pongs[payload] = asyncio.get_running_loop().create_future()
        await self._send(Ping(payload=payload))
        return self._pongs[payload]

    async def recv(self) -> str | bytes:
        return await self._messages.get()

    async def close(self, code: int, reason: str) -> None:
        await self._send(CloseConnection(code=code, reason=reason))
        await self._task
        self._writer.close()
        await self._writer.wait_closed()

    async def _part(self, data: bytes, is_text: bool, *, last: bool) -> bytes:
        """Send a frame; returns the bytes of a character that is cut off at its end."""
        if not is_text:
            await self._send(BytesMessage(data=data, message_finished=last))
            return b""
        text = data.decode(errors="strict" if last else "ignore")
        await self._send(TextMessage(data=text, message_finished=last))
        return data[len(text.encode()) :]

    async def _send(self, event: Event) -> None:
        self._writer.write(self._wire.send(event))
        await self._writer.drain()

    async def _read(self) -> None:
        while data := await self._reader.read(1 << 16):
            self._wire.receive_data(data)
            for event in self._wire.events():
                await self._handle(event)

    async def _handle(self, event: Event) -> None:
        if isinstance(event, AcceptConnection):
            self.extensions = ", ".join(f"{one.name}; {one.offer()}" for one in event.extensions) or None
            self._accepted.set_result(None)
        elif isinstance(event, RejectConnection):
            self._accepted.set_exception(ConnectionError(f"refused with {event.status_code}"))
        elif isinstance(event, Message):
            self._parts.append(event.data)
            if event.message_finished:
                empty: Any = "" if isinstance(event, TextMessage) else b""
                self._messages.put_nowait(empty.join(self._parts))
                self._parts = []
        elif isinstance(event, Ping):
            await self._send(event.response())
        elif isinstance(event, Pong):
            self._pongs.pop(bytes(event.payload)).set_result(None)
