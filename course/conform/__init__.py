"""``course conform URL``: does a server keep the protocol's promises? Asked from outside, over real sockets.

Nothing here knows how a server is made. ``checks/`` has one function a promise, in plain steps; ``world.py`` gives
each its users and sockets; ``runner.py`` runs them; ``report.py`` says what came out.
"""
