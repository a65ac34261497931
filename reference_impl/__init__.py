"""The chat server that Breakwire's chapters run, break and read.

Start at ``app.py``: it puts every part together. ``README.md`` has the map.
"""

__version__ = "0.1.0"
