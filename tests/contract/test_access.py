"""What the store promises of bans and of tokens that were signed out, over its twins."""

from datetime import UTC, datetime, timedelta

from reference_impl.core.access_ports import Access
from reference_impl.core.ports import Store
from reference_impl.model.conversations import User

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def test_nobody_is_barred_at_first(store: Store) -> None:
    """Whoever is asked about has an answer, known or not."""
    assert await store.access_of(["ann", "nobody"]) == {"ann": Access(), "nobody": Access()}
    assert await store.banned_users() == {}


async def test_a_ban_holds_until_it_is_lifted(store: Store) -> None:
    """For a user who was never seen, too; both may be said twice, and the first time counts."""
    await store.ban("eve", NOON)
    await store.ban("eve", NOON + HOUR)
    await store.ban("adam", NOON)
    assert (await store.access_of(["eve", "ann"])) == {"eve": Access(is_banned=True), "ann": Access()}
    assert await store.banned_users() == {"adam": NOON, "eve": NOON}
    await store.unban("eve")
    await store.unban("eve")
    assert await store.banned_users() == {"adam": NOON}


async def test_a_token_is_revoked_alone_and_forgotten_once_it_has_expired(store: Store) -> None:
    """The user's other tokens count on; what has expired by itself need not be kept."""
    await store.revoke_token("t-1", "ann", NOON + HOUR, now=NOON)
    await store.revoke_token("t-1", "ann", NOON + HOUR, now=NOON)
    await store.revoke_token("t-2", "bob", NOON + 3 * HOUR, now=NOON)
    assert (await store.access_of(["ann"]))["ann"].revoked_token_ids == {"t-1"}
    await store.revoke_token("t-3", "ann", NOON + 3 * HOUR, now=NOON + 2 * HOUR)
    assert (await store.access_of(["ann"]))["ann"].revoked_token_ids == {"t-3"}
    assert (await store.access_of(["bob"]))["bob"].revoked_token_ids == {"t-2"}


async def test_each_change_moves_the_version(store: Store) -> None:
    """By it the instances notice, whatever was not said on the bus."""
    await store.ensure_user(User(id="ann", display_name="Ann"))
    seen = [(await store.membership_versions(["ann"]))["ann"]]
    await store.ban("ann", NOON)
    seen.append((await store.membership_versions(["ann"]))["ann"])
    await store.unban("ann")
    seen.append((await store.membership_versions(["ann"]))["ann"])
    await store.revoke_token("t-1", "ann", NOON + HOUR, now=NOON)
    seen.append((await store.membership_versions(["ann"]))["ann"])
    assert len(set(seen)) == 4
    user = await store.find_user("ann")
    assert user is not None
    assert user.display_name == "Ann"
