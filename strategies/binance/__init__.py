"""Binance Spot, the dialect with everything: WebSocket API, market streams, and the older user data stream.

api, streams         the exchange's websockets: orders and events; market data and listen keys
params, limits       parameters of requests, checked; rate limits, counted
formats, refusals    its messages and errors
trader, watcher      what a strategy says and hears; a socket that only listens to an account
dialect              all of it together
"""
