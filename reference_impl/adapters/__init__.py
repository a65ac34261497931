"""The core's ports, each with an in-memory twin and a real one. The only place that imports redis or SQL."""
