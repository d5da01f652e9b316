"""Bitfinex, websocket version 2 (https://docs.bitfinex.com/docs): one path for market data and, after a login, for orders.

texts       JSON as Bitfinex writes it, statuses, and why it refuses
messages    its arrays: orders, trades, wallets, notifications, market data
session     the exchange's websocket
trader      what a strategy says and hears
dialect     all of it together
"""
