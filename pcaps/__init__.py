"""Small captures, one for each odd case, each beside the script that makes it and the truth of what it holds.

The makers import nothing of `sniffer`: they are what it is measured against.
"""
