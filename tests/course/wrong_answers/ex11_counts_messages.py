"""Counts what arrives, and asks from there."""

CAUGHT_BY = "11.1"
MISCONCEPTION = "counts"


class ResumingClient:
    def __init__(self, new_id):
        self.messages = []
        self._new_id = new_id
        self._last_seq = 0
        self._early = {}  # seq -> text: ahead of one that is missing
        self._unacked = {}  # client_message_id -> text, in the order of sending
        self._is_asked = False
        self._answer_up_to = None
        self._starts_anew = False
        self._received = 0

    def opened(self):
        self._starts_anew = False
        return [self._ask(), *(self._text(name) for name in self._unacked)]

    def closed(self):
        self._is_asked = False

    def send(self, text):
        name = self._new_id()
        self._unacked[name] = text
        return [self._text(name)]

    def received(self, frame):
        action, data = frame["action"], frame["data"]
        if action == "new_message":
            self._received += 1
            if self._starts_anew:
                self._last_seq, self._starts_anew = data["seq"] - 1, False
            self._take(data["seq"], data["content"]["text"])
        elif action == "ack":
            text = self._unacked.pop(data["client_message_id"], None)
            if text is not None:
                self._take(data["seq"], text)
        elif action == "resumed":
            self._answer_up_to = data["seq"]
            if not data["recovered"]:
                self.messages, self._last_seq, self._early, self._starts_anew = [], 0, {}, True
        if self._answer_up_to is not None and self._last_seq >= self._answer_up_to:
            self._is_asked = False
        return [self._ask()] if self._early and not self._is_asked else []

    def _take(self, seq, text):
        if seq > self._last_seq:
            self._early[seq] = text
        while self._last_seq + 1 in self._early:
            self._last_seq += 1
            self.messages.append((self._last_seq, self._early.pop(self._last_seq)))

    def _ask(self):
        self._is_asked, self._answer_up_to = True, None
        return {"type": "resume", "last_seq": self._received}

    def _text(self, name):
        return {"type": "text", "content": self._unacked[name], "client_message_id": name}
