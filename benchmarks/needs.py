"""What this machine has of what the systems need."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.systems import PEERS, System


def missing(system: System, python: str = sys.executable) -> str | None:
    """Why this machine can not run it and how to change that, in one line; None if it can."""
    if system.key in ("ours", "ours_asgi"):
        return None
    if system.key == "socketio_node":
        return _missing_in_node(system)
    look = f"import sys, importlib.util as u; print(*[n for n in {list(system.needs)!r} if u.find_spec(n) is None])"
    found = _output([python, "-c", look])
    if found is None:
        return f"{system.label}: {python} does not run"
    if not found:
        return None
    install = f"uv pip install --python {python}" if shutil.which("uv") else f"{python} -m pip install"
    group = f"{PEERS.parents[1] / 'pyproject.toml'}:bench"
    return f"{system.label} needs {', '.join(found.split())}: {install} --group {group}"


def _missing_in_node(system: System) -> str | None:
    if shutil.which("node") is None:
        return f"{system.label} needs Node.js, which is not on PATH"
    look = "for (const n of ['socket.io', '@socket.io/redis-adapter', 'redis']) require.resolve(n)"
    if _output(["node", "-e", look], PEERS) is None:
        return f"{system.label} needs its packages: npm install --prefix {PEERS}"
    return None


def _output(command: list[str], cwd: Path = PEERS.parents[1]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True, cwd=cwd)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def versions(system: System, python: str) -> dict[str, str]:
    """Of what it is made of, for the record."""
    if system.key == "socketio_node":
        look = (
            "const v = n => { let d = require.resolve(n); while (!require('fs').existsSync(d + '/package.json')) "
            "d = require('path').dirname(d); return require(d + '/package.json').version }; "
            "console.log(JSON.stringify({node: process.version, 'socket.io': v('socket.io')}))"
        )
        found = _output(["node", "-e", look], PEERS)
    else:
        names = [
            name.replace("socketio", "python-socketio") for name in (*system.needs, "uvicorn", "websockets", "redis")
        ]
        look = (
            "import json, importlib.metadata as m, platform\nv = {'python': platform.python_version()}\n"
            f"for n in {names!r}:\n    try: v[n] = m.version(n)\n    except m.PackageNotFoundError: pass\n"
            "print(json.dumps(v))"
        )
        found = _output([python if system.needs else sys.executable, "-c", look])
    return json.loads(found) if found else {}
