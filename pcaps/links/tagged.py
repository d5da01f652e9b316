"""Tags and labels between Ethernet and IP: VLAN, QinQ, PPPoE, MPLS."""

from __future__ import annotations

from scapy.contrib.mpls import MPLS, EoMCW
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import LLC, SNAP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Packet

from pcaps.kit.files import CLIENT_MAC, SERVER_MAC, Link, ethernet, record
from pcaps.kit.talk import hello
from pcaps.kit.truth import Capture, capture

V6 = ("[2001:db8::1]:40000", "[2001:db8::2]:9443")


def kind(packet: Packet) -> int:
    return 0x86DD if IPv6 in packet else 0x0800


@capture("one VLAN tag, with a priority and the drop bit", rfc="IEEE 802.1Q")
def vlan() -> Capture:
    return record(hello(), hello(*V6), link=Link(1, ethernet(Dot1Q(vlan=100, prio=5, dei=1))))


@capture("a priority tag: VLAN 0, on one direction only; it is the same connection", rfc="IEEE 802.1Q")
def vlan_zero_one_way() -> Capture:
    tagged, plain = ethernet(Dot1Q(vlan=0, prio=3)), ethernet()
    return record(hello(), link=Link(1, lambda packet: (tagged if packet.sport == 9443 else plain)(packet)))


@capture("QinQ: service tag 0x88a8 around a VLAN tag", rfc="IEEE 802.1ad")
def qinq() -> Capture:
    return record(hello(), hello(*V6), link=Link(1, ethernet(Dot1AD(vlan=200), Dot1Q(vlan=100))))


@capture("QinQ of old switches: outer tag 0x9100", rfc="IEEE 802.1ad")
def qinq_9100() -> Capture:
    def wrap(packet: Packet) -> Packet:
        head = Ether(src=CLIENT_MAC, dst=SERVER_MAC, type=0x9100)
        return head / Dot1Q(vlan=200, type=0x8100) / Dot1Q(vlan=100, type=kind(packet)) / packet

    return record(hello(), link=Link(1, wrap))


@capture("two plain tags, 0x8100 in 0x8100", rfc="IEEE 802.1Q")
def vlan_twice() -> Capture:
    return record(hello(), link=Link(1, ethernet(Dot1Q(vlan=200), Dot1Q(vlan=100))))


@capture("PPPoE session frames: six bytes of head and two of PPP protocol before IP", rfc="RFC 2516 section 4")
def pppoe() -> Capture:
    return record(hello(), hello(*V6), link=Link(1, ethernet(PPPoE(sessionid=0x11), PPP())))


@capture(
    "PPPoE in a VLAN, as providers deliver it; short frames are padded behind PPPoE's own length", rfc="RFC 2516 section 4"
)
def pppoe_vlan_padded() -> Capture:
    wrap = ethernet(Dot1Q(vlan=7), PPPoE(sessionid=0x11), PPP())
    return record(hello(), link=Link(1, lambda packet: bytes(wrap(packet)).ljust(64, b"\x55")))


@capture("one MPLS label; nothing says what follows but the IP version in its first four bits", rfc="RFC 3032 section 2.1")
def mpls() -> Capture:
    return record(hello(), hello(*V6), link=Link(1, ethernet(MPLS(label=16, s=1, ttl=64))))


@capture("two MPLS labels: the bottom-of-stack bit ends them, not a count", rfc="RFC 3032 section 2.1")
def mpls_two_labels() -> Capture:
    return record(hello(), link=Link(1, ethernet(MPLS(label=1000, s=0, ttl=63), MPLS(label=17, s=1, ttl=64))))


@capture("MPLS behind a VLAN tag", rfc="RFC 3032 section 5")
def mpls_vlan() -> Capture:
    return record(hello(), link=Link(1, ethernet(Dot1Q(vlan=3), MPLS(label=20, s=1, ttl=64))))


@capture(
    "an Ethernet pseudowire: behind the label a control word, whose first four bits are 0, then Ethernet again",
    rfc="RFC 4448 section 4.6",
)
def mpls_pseudowire() -> Capture:
    inner = Ether(src=CLIENT_MAC, dst=SERVER_MAC)
    return record(hello(), link=Link(1, ethernet(MPLS(label=300, s=1, ttl=64), EoMCW(seq=0), inner)))


@capture("802.3 frames: a length instead of an EtherType, then LLC and SNAP before IP", rfc="RFC 1042")
def snap() -> Capture:
    def wrap(packet: Packet) -> Packet:
        head = Dot3(src=CLIENT_MAC, dst=SERVER_MAC) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
        return head / SNAP(OUI=0, code=kind(packet)) / packet

    return record(hello(), link=Link(1, wrap))
