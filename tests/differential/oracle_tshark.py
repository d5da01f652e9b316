"""What tshark says a capture holds."""

import itertools
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

OPCODES = {1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}

PATIENCE = 15
"""Seconds for one capture; nearly all take a third of one."""

Messages = dict[tuple[str, str], list[tuple[str, bytes]]]
"""(from, to) -> (opcode, payload) in order; both ends as `host:port`."""


def version() -> str | None:
    """Major and minor, as "4.0"; None where tshark is not installed."""
    if not shutil.which("tshark") or not shutil.which("mergecap"):
        return None
    found = re.search(
        r"\b(\d+\.\d+)\.\d+", subprocess.run(["tshark", "--version"], capture_output=True, text=True, check=True).stdout
    )
    return found[1] if found else None


def messages(files: list[Path]) -> Messages:
    """All websocket messages of the capture. tshark reads damaged files as far as it can, and so does this.

    Raises `subprocess.TimeoutExpired` where tshark takes longer than `PATIENCE`.
    """
    with tempfile.TemporaryDirectory() as folder:
        merged = files[0]
        if len(files) > 1:
            merged = Path(folder) / "merged.pcapng"
            subprocess.run(["mergecap", "-w", merged, *files], check=True, capture_output=True)
        command = ["tshark", "-r", merged, "-Y", "websocket", "-T", "pdml", "-d", "tcp.port==9443,http"]
        command += ["-o", "tcp.reassemble_out_of_order:TRUE"]
        output = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE).stdout
    found: Messages = defaultdict(list)
    begun: dict[tuple[str, str], str] = {}
    for packet in _packets(output):
        ends = _ends(packet)
        protocols = list(packet)
        for at, protocol in enumerate(protocols):
            if protocol.get("name") != "websocket":
                continue
            fields = {field.get("name"): field for field in protocol.iter("field")}
            opcode = int(_shown(fields, "websocket.opcode", "-1"))
            name = begun.get(ends, "?") if opcode == 0 else OPCODES.get(opcode, "?")
            if _shown(fields, "websocket.fin", "1") in ("0", "False"):
                begun[ends] = name if opcode else begun.get(ends, "?")
                continue
            if name != "?":
                beside = itertools.takewhile(lambda other: other.get("name") != "websocket", protocols[at + 1 :])
                found[ends].append((name, _payload(name, fields, beside)))
    return dict(found)


def _packets(output: bytes) -> Iterator[ElementTree.Element]:
    text = re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", output.decode(errors="replace"))
    return iter(ElementTree.fromstring(text)) if "<pdml" in text else iter(())


def _shown(fields: dict[str | None, ElementTree.Element], name: str, default: str) -> str:
    return fields[name].get("show", default) if name in fields else default


def _ends(packet: ElementTree.Element) -> tuple[str, str]:
    """Of the innermost IP head."""
    head = [protocol for protocol in packet if protocol.get("name") in ("ip", "ipv6")][-1]
    shown = {
        field.get("name"): field.get("show", "")
        for protocol in (head, packet.find("proto[@name='tcp']"))
        for field in protocol or ()
    }
    hosts = [shown.get(f"{head.get('name')}.{end}", "?") for end in ("src", "dst")]
    source, target = (f"[{host}]" if ":" in host else host for host in hosts)
    return f"{source}:{shown['tcp.srcport']}", f"{target}:{shown['tcp.dstport']}"


def _payload(name: str, fields: dict[str | None, ElementTree.Element], beside: Iterable[ElementTree.Element]) -> bytes:
    def value(field: str) -> bytes:
        return bytes.fromhex(fields[field].get("value", "")) if field in fields else b""

    if name == "close":
        return value("websocket.payload.close.status_code") + value("websocket.payload.close.reason")
    if name in ("ping", "pong", "text"):
        return value(f"websocket.payload.{name}")
    # binary payloads stand beside the frame, as data of no known protocol
    data = next((found for protocol in beside if (found := protocol.find("field[@name='data']")) is not None), None)
    return bytes.fromhex(data.get("value", "")) if data is not None else b""
