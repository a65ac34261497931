"""Makes the id when a message is put on the wire, so each try has another."""

CAUGHT_BY = "11.2"
MISCONCEPTION = "new_name"


class ResumingClient:
    def __init__(self, new_id):
        self.messages = []
        self._new_id = new_id
        self._last_seq = 0
        self._early = {}
        self._waiting = []  # texts without an ack
        self._sent_as = {}  # client_message_id -> text
        self._is_asked = False
        self._answer_up_to = None
        self._starts_anew = False

    def opened(self):
        self._starts_anew = False
        self._sent_as = {}
        return [self._ask(), *(self._frame(text) for text in self._waiting)]

    def closed(self):
        self._is_asked = False

    def send(self, text):
        self._waiting.append(text)
        return [self._frame(text)]

    def received(self, frame):
        action, data = frame["action"], frame["data"]
        if action == "new_message":
            if self._starts_anew:
                self._last_seq, self._starts_anew = data["seq"] - 1, False
            self._take(data["seq"], data["content"]["text"])
        elif action == "ack":
            text = self._sent_as.pop(data["client_message_id"], None)
            if text is not None:
                self._waiting.remove(text)
                self._take(data["seq"], text)
        elif action == "resumed":
            self._answer_up_to = data["seq"]
            if not data["recovered"]:
                self.messages, self._last_seq, self._early, self._starts_anew = [], 0, {}, True
        if self._answer_up_to is not None and self._last_seq >= self._answer_up_to:
            self._is_asked = False
        return [self._ask()] if self._early and not self._is_asked else []

    def _frame(self, text):
        name = self._new_id()
        self._sent_as[name] = text
        return {"type": "text", "content": text, "client_message_id": name}

    def _take(self, seq, text):
        if seq > self._last_seq:
            self._early[seq] = text
        while self._last_seq + 1 in self._early:
            self._last_seq += 1
            self.messages.append((self._last_seq, self._early.pop(self._last_seq)))

    def _ask(self):
        self._is_asked, self._answer_up_to = True, None
        return {"type": "resume", "last_seq": self._last_seq}
