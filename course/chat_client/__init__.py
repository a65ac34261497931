"""A client for the chat protocol, fit to copy: this folder, and the package ``websockets``.

Each message once, in order, without a gap, whatever happens to the connection.
"""

from .client import Ack, ChatClient
from .errors import ClientClosed, SendRefused, SendTimeout
from .reconnect import Backoff
from .sequencer import Message, Sequencer

__all__ = ["Ack", "Backoff", "ChatClient", "ClientClosed", "Message", "SendRefused", "SendTimeout", "Sequencer"]
