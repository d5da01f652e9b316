"""The trading side: what a trader runs, and a simulated exchange to run it against.

dialect      how a venue writes what both sides have to say; dialects lists them: binance, okx, bitfinex

position     what fills make of it: quantity, entry price, realised profit
strategy     one strategy: one websocket to the exchange, its orders in memory, hooks for its owner
quoter       an example: quotes around the market at random
credentials  API keys, and the signatures of requests
feeds        market data, shared by all strategies
instruments  what is traded: symbols, tick and lot sizes
run, demo    programs: a hundred strategies, without and with an exchange

accounts     the exchange's side of a customer: balances, and who listens to its events
crowd, fees  everybody else in the market; what a trade costs
rules        what venues decide differently
orders       what the exchange knows of an order
matching     one order book: order lifecycles and fills
venue        all books and accounts
truth        what happened, as rows
exchange     the exchange itself, a program of its own
tls          a certificate made on the spot, and clients that trust it
options      settings and command-line options
"""
