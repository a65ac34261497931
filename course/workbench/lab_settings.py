"""The settings of a lab's instances: the learner's, over those that keep limits out of the way."""

import difflib
from typing import Any

from course.errors import UserError
from course.workbench.jupyter_proxy import is_on_a_hub
from reference_impl.settings import Settings

LAB_SETTINGS: dict[str, Any] = {
    "MAX_CONNECTIONS_PER_USER": 100,
    "MAX_CONNECTIONS_PER_IP": 10_000,
    "RATE_LIMIT_MAX_MESSAGES": 1_000_000,
    "MAX_CONNECTIONS_PER_INSTANCE": 10_000,
}
"""Limits that would stop an experiment before it shows anything. A lab may set them back."""


def lab_settings(given: dict[str, Any] | None) -> dict[str, Any]:
    """``given`` by their full upper-case names, over the lab's own. Raises ``UserError`` for an unknown name."""
    settings: dict[str, Any] = {}
    for name, value in (given or {}).items():
        settings[_known(name.upper().removeprefix("CHAT_"))] = value
    hub = {"TRUSTED_PROXIES": "127.0.0.1"} if is_on_a_hub() else {}  # Jupyter, which knows the page's scheme
    return LAB_SETTINGS | hub | settings


def _known(name: str) -> str:
    names = [field.upper() for field in Settings.model_fields]
    if name in names:
        return name
    alike = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {alike[0]}?" if alike else f"they are {', '.join(sorted(names))}"
    raise UserError(f"the server has no setting {name}; {hint}")
