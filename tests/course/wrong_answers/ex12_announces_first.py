"""Announces the message as soon as it has a number, so that it is there sooner."""

CAUGHT_BY = "12.2"
MISCONCEPTION = "announces_too_early"


from contextlib import suppress


class MessageDesk:
    def __init__(self, store, bus, sleep, alert, pauses):
        self.store = store
        self.bus = bus
        self.sleep = sleep
        self.alert = alert
        self.pauses = pauses

    async def post(self, user_id, conversation_id, text, client_message_id, reply):
        def error(code, message):
            data = {"code": code, "message": message, "client_message_id": client_message_id}
            return {"action": "error", "data": data}

        try:
            seq = await self._store_patiently(user_id, conversation_id, text, client_message_id)
        except (PermissionError, self.store.NoSuchConversation):
            answer = error("forbidden", "You do not take part in such a conversation.")
        except self.store.Rejected as reason:
            answer = error("invalid", str(reason))
        except (self.store.Busy, self.store.Lost) as away:
            self.alert(f"the store is away, {len(self.pauses) + 1} tries: {away}")
            answer = error("unavailable", "The server can not store messages at the moment. Please try again.")
        except Exception as bug:
            self.alert(f"a mistake in the server: {bug!r}")
            answer = error("server_error", "The server made a mistake. It is being looked at.")
        else:
            answer = {"action": "ack", "data": {"client_message_id": client_message_id, "seq": seq}}
        with suppress(ConnectionError):  # nobody is there to be told; the client asks again, under the same name
            await reply(answer)

    async def _store_patiently(self, *message):
        for pause in self.pauses:
            try:
                return await self._store(*message)
            except (self.store.Busy, self.store.Lost):
                await self.sleep(pause)
        return await self._store(*message)

    async def _store(self, user_id, conversation_id, text, client_message_id):
        tx = await self.store.begin()
        try:
            if not await tx.is_member(conversation_id, user_id):
                raise PermissionError
            seq = await tx.add_message(conversation_id, user_id, text, client_message_id)
            await tx.add_outbox(conversation_id, seq)
            await self._announce(conversation_id, seq)
            await tx.commit()
        except BaseException:
            await tx.rollback()
            raise
        return seq

    async def _announce(self, conversation_id, seq):
        try:
            await self.bus.publish(conversation_id, seq)
        except Exception as failure:
            self.alert(f"not announced, the outbox has it: {failure}")
