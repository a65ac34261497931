"""The chat page inside a notebook."""

from html import escape
from typing import NamedTuple


class ChatPage(NamedTuple):
    """Shows itself in a notebook cell, as a frame; as text it is the address."""

    url: str
    title: str
    height: int
    """In pixels."""

    def __repr__(self) -> str:
        return f"{self.title}: {self.url}"

    def _repr_html_(self) -> str:
        url, title = escape(self.url), escape(self.title)
        return (
            f'<iframe src="{url}" title="{title}" width="100%" height="{self.height}" '
            'style="border:1px solid #8c959f;border-radius:8px" loading="lazy"></iframe>'
            f'<p><a href="{url}" target="_blank" rel="noopener">Open {title} in a window of its own</a></p>'
        )
