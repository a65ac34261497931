"""Runs one instance: ``python -m reference_impl [--host H] [--port P]``, with the ``CHAT_`` settings."""

import argparse
import sys

from pydantic import ValidationError

from reference_impl.app import create_app
from reference_impl.server import build_server
from reference_impl.settings import Settings, explain


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 after an orderly stop, 2 when the settings don't fit."""
    parser = argparse.ArgumentParser(prog="python -m reference_impl", description=__doc__.split(":")[0] + ".")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    options = parser.parse_args(arguments)
    try:
        settings = Settings()
        server = build_server(create_app(settings), settings, options.host, options.port)
    except (ValidationError, ValueError) as error:
        sys.stderr.write((explain(error) if isinstance(error, ValidationError) else str(error)) + "\n")
        return 2
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
