"""The capstone: a chat server of the learner's own, judged from outside.

Their ``chat_server.py`` runs in the sandbox that notebooks are graded in (``host.py`` starts it there), and
``course conform`` asks it outside (``judge.py``). Between the two is nothing but TCP (``tunnel.py``): whatever the
server says of itself, it scores by what a client sees.
"""
