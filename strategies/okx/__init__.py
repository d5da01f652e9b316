"""OKX, API v5 (https://www.okx.com/docs-v5/en/): spot orders over the private websocket, market data over the public one.

refusals    its error codes
messages    its pushes: orders, fills, market data, instruments
session     the exchange's websockets
trader      what a strategy says and hears
dialect     all of it together
"""
