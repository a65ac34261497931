"""The two doors, HTTP and WebSocket. They translate; they decide nothing."""
