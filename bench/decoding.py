"""What decoders cost: an order message, in the mean over all venues' fixtures, and market data that is turned away."""

from __future__ import annotations

import statistics
import time
import timeit
from collections.abc import Iterator
from functools import partial
from typing import Final

from bench.options import Options
from bench.report import Figure, median
from sniffer.exchanges import VENUES, by_name
from sniffer.exchanges.base import ConnectionFacts
from sniffer.model import OPCODE_TEXT, Message
from tests.property.test_venues_property import MODULES, raw, registered, sent

GOAL_DECODE: Final = 15.0
GOAL_REJECT: Final = 1.0
"""Microseconds."""
SIZE: Final = 500
"""Bytes of a message of market data, as far as its levels go."""

# A book and a trade of each venue, as its documentation shows them; `LEVELS` is filled up to `SIZE` bytes.
MARKET_DATA: Final[dict[str, tuple[str, ...]]] = {
    "binance-spot": (
        '{"stream":"adausdt@depth","data":{"e":"depthUpdate","E":1,"s":"ADAUSDT","U":1,"u":2,"b":[LEVELS],"a":[]}}',
        '{"e":"trade","E":1,"s":"ADAUSDT","t":5,"p":"0.5","q":"1","T":1,"m":true,"M":true}',
    ),
    "binance-usdm": (
        '{"e":"depthUpdate","E":1,"T":1,"s":"ADAUSDT","U":1,"u":2,"pu":0,"b":[LEVELS],"a":[]}',
        '{"stream":"adausdt@aggTrade","data":{"e":"aggTrade","E":1,"a":5,"s":"ADAUSDT","p":"0.5","q":"1","f":1,"l":1,"T":1,"m":true}}',
    ),
    "bybit": (
        '{"topic":"orderbook.50.ADAUSDT","type":"delta","ts":1,"data":{"s":"ADAUSDT","b":[LEVELS],"a":[],"u":1,"seq":2},"cts":1}',
        '{"topic":"publicTrade.ADAUSDT","type":"snapshot","ts":1,"data":[{"T":1,"s":"ADAUSDT","S":"Buy","v":"1","p":"0.5","i":"x"}]}',
    ),
    "okx": (
        '{"arg":{"channel":"books","instId":"ADA-USDT"},"action":"update","data":[{"asks":[LEVELS],"bids":[],"ts":"1"}]}',
        '{"arg":{"channel":"trades","instId":"ADA-USDT"},"data":[{"instId":"ADA-USDT","tradeId":"1","px":"1","sz":"2","side":"buy"}]}',
    ),
    "coinbase-advanced": (
        '{"channel":"l2_data","timestamp":"x","sequence_num":0,"events":[{"type":"update","product_id":"A-B","updates":[LEVELS]}]}',
        '{"channel":"market_trades","events":[{"type":"update","trades":[{"trade_id":"1","price":"1","size":"2","side":"BUY"}]}]}',
    ),
    "coinbase-exchange": (
        '{"type":"l2update","product_id":"A-B","time":"x","changes":[LEVELS]}',
        '{"type":"match","trade_id":1,"maker_order_id":"a","taker_order_id":"b","side":"sell","size":"1","price":"1"}',
    ),
    "kraken": (
        '{"channel":"book","type":"update","data":[{"symbol":"ADA/EUR","bids":[LEVELS],"asks":[],"checksum":1}]}',
        '{"channel":"trade","type":"update","data":[{"symbol":"ADA/EUR","side":"buy","price":1.0,"qty":1.0,"trade_id":1}]}',
    ),
    "kraken-futures": (
        '{"feed":"book_snapshot","product_id":"PF_ADAUSD","timestamp":1,"seq":1,"bids":[LEVELS],"asks":[]}',
        '{"feed":"trade","product_id":"PF_ADAUSD","uid":"u","side":"buy","type":"fill","seq":1,"qty":1,"price":1}',
    ),
    "deribit": (
        '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.ETH-PERPETUAL.100ms","data":{"bids":[LEVELS]}}}',
        '{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.ETH-PERPETUAL.raw","data":[{"trade_id":"1"}]}}',
    ),
    "bitfinex": ('[17,[LEVELS]]', '[17,"te",[401,1741064767132,-2.5,0.7126]]'),
    "bitmex": (
        '{"table":"orderBookL2_25","action":"update","data":[LEVELS]}',
        '{"table":"trade","action":"insert","data":[{"symbol":"XBTUSD","side":"Buy","size":1,"price":1,"trdMatchID":"m"}]}',
    ),
    "kucoin": (
        '{"type":"message","topic":"/market/level2:A-B","subject":"trade.l2update","data":{"changes":{"asks":[LEVELS]}}}',
        '{"type":"message","topic":"/market/match:A-B","subject":"trade.l3match","data":{"makerOrderId":"a","tradeId":"1"}}',
    ),
    "gate": (
        '{"time":1,"time_ms":1,"channel":"spot.order_book_update","event":"update","result":{"t":1,"s":"A_B","b":[LEVELS],"a":[]}}',
        '{"time":1,"time_ms":1,"channel":"spot.trades","event":"update","result":{"id":1,"side":"sell","amount":"1","price":"1"}}',
    ),
    "hyperliquid": (
        '{"channel":"l2Book","data":{"coin":"SOL","time":1,"levels":[[LEVELS],[]]}}',
        '{"channel":"trades","data":[{"coin":"SOL","side":"B","px":"1","sz":"1","hash":"0x","time":1,"tid":1}]}',
    ),
    "htx": (
        '{"ch":"market.adausdt.depth.step0","ts":1,"tick":{"bids":[LEVELS],"asks":[],"ts":1,"version":1}}',
        '{"ch":"market.adausdt.trade.detail","ts":1,"tick":{"id":1,"data":[{"tradeId":1,"price":1,"direction":"buy"}]}}',
    ),
    "bitmart": (
        '{"table":"spot/depth20","data":[{"symbol":"SOL_USDT","bids":[LEVELS],"asks":[]}]}',
        '{"table":"spot/trade","data":[{"symbol":"SOL_USDT","price":"1","side":"buy","size":"1","s_t":1}]}',
    ),
}  # fmt: skip
MARKET_OF: Final = {"binance-coinm": "binance-usdm"}


def figure(options: Options) -> Figure:
    times = 20 if options.quick else 300
    decoded = {venue.name: [] for venue in VENUES}  # type: dict[str, list[float]]
    for module in MODULES:
        for name, cost in decode(module, times):
            decoded[name].append(cost)
    rejected = {venue.name: reject(venue.name, times) for venue in VENUES}
    mean = statistics.fmean(cost for costs in decoded.values() for cost in costs)
    slowest = max(rejected.values())
    rows = [
        [name, str(len(costs)), f"{statistics.fmean(costs):.1f} us", f"{max(costs):.1f} us", f"{rejected[name]:.2f} us"]
        for name, costs in decoded.items()
    ]
    return Figure(
        name="Decoding an order message, and turning market data away",
        goal=f"under {GOAL_DECODE:.0f} us in the mean of all venues; under {GOAL_REJECT:.0f} us for {SIZE} bytes turned away",
        found=f"{mean:.1f} us; {slowest:.2f} us at the slowest venue",
        met=None if options.quick else mean < GOAL_DECODE and slowest < GOAL_REJECT,
        columns=["venue", "messages", "decoding, mean", "slowest", f"turning away {SIZE} bytes"],
        rows=rows,
        raw={"decoded": decoded, "rejected": rejected},
    )


def decode(module: str, times: int) -> Iterator[tuple[str, float]]:
    """(venue, us) of each order message of a venue's fixtures: searched and decoded, in its place behind the others."""
    fixtures, _ = registered(module)
    messages: list[tuple[str, Message]] = [(venue, sent(sender, raw(load), call)) for venue, sender, load, call in fixtures]
    costs: list[list[int]] = [[] for _ in messages]
    orders: set[int] = set()
    clock = time.perf_counter_ns
    for _ in range(times):
        decoders = {venue: by_name(venue).decoder(ConnectionFacts()) for venue, _ in messages}
        for at, (venue, message) in enumerate(messages):
            decoder = decoders[venue]
            begun = clock()
            found = decoder.decode(message) if decoder.wanted(message.sender, message.opcode)(message.payload) else None
            costs[at].append(clock() - begun)
            if found is not None and (found.orders or found.fills):
                orders.add(at)
    for at in sorted(orders):
        yield messages[at][0], median(costs[at]) / 1000


def reject(name: str, times: int) -> float:
    """Microseconds of the search in a message of market data, the slower of a book and a trade."""
    search = by_name(name).decoder(ConnectionFacts()).wanted("server", OPCODE_TEXT)
    worst = 0.0
    for shape in MARKET_DATA[MARKET_OF.get(name, name)]:
        levels = ",".join(f'["0.{number}","{number}.25"]' for number in range(7101, 7101 + (SIZE - len(shape)) // 20))
        payload = shape.replace("LEVELS", levels).encode()
        assert not search(payload), f"{name} wants {payload!r}"
        repeats = timeit.repeat(partial(search, payload), number=20 * times, repeat=5)
        worst = max(worst, min(repeats) / (20 * times) * 1e6)
    return worst
