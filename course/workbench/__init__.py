"""The notebooks' library: real server processes, clients, and a look at every hop of a message."""
