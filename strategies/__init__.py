"""The trading side: what a trader runs, and a simulated exchange to run it against.

position     what fills make of it: quantity, entry price, realised profit
strategy     one strategy: one websocket to the exchange, its orders in memory, hooks for its owner
quoter       an example: quotes around the market at random
credentials  API keys, and the signatures of requests
feeds        sockets that only listen: market data, and an account's events
instruments  what is traded: symbols, tick and lot sizes
run, demo    programs: a hundred strategies, without and with an exchange

accounts     the exchange's side of a customer: balances, and who listens to its events
crowd, fees  everybody else in the market; what a trade costs
orders       what the exchange knows of an order
matching     one order book: order lifecycles and fills
venue        all books and accounts, and the truth about what happened
params       parameters of requests, checked
limits       rate limits, counted
formats      the exchange's messages, as binance-spot writes them
api, streams its websockets: orders and events; market data and the older user stream
exchange     the exchange itself, a program of its own
tls          a certificate made on the spot, and clients that trust it
options      settings and command-line options
"""
