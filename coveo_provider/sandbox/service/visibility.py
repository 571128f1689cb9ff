"""Which items may enter a secured source, and who sees what is in the index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service import access, identities, jsontext
from coveo_provider.sandbox.service.access import EMAIL_PROVIDER, TYPES, Key, Verdict
from coveo_provider.sandbox.service.identity_store import (
    ALIAS,
    ALIAS_GRANTED,
    DISABLED,
    GRANTED,
    KNOWN,
    MEMBER,
)
from coveo_provider.sandbox.service.items import Item, ItemRefused

if TYPE_CHECKING:
    from coveo_provider.sandbox.service.identity_store import IdentityRow, IdentityStore
    from coveo_provider.sandbox.service.permissions import Named
    from coveo_provider.sandbox.service.providers import Providers
    from coveo_provider.sandbox.service.sources import Source
    from coveo_provider.sandbox.service.store import Store

ANONYMOUS = "anonymous"


class Visibility:
    """Answers from the index and the security cache as they are now."""

    def __init__(self, store: Store, identity_store: IdentityStore, providers: Providers) -> None:
        self._store, self._identities, self._providers = store, identity_store, providers

    # -- at Consuming ----------------------------------------------------------------------------------------

    def admit(self, source: Source, items: Sequence[Item]) -> tuple[list[Item], list[ItemRefused]]:
        """Part items whose permissions name valid identities only from those to reject (docs 63)."""
        problems: dict[Named, str | None] = {}
        good: list[Item] = []
        refused: list[ItemRefused] = []
        for item in items:
            for named in item.named:
                if named not in problems:
                    problems[named] = self.problem(source, named)
            if bad := sorted(why for named in item.named if (why := problems[named])):
                more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
                refused.append(ItemRefused(f"{bad[0]}{more}", result="REJECTED", uri=item.uri))
            else:
                good.append(item)
        return good, refused

    def problem(self, source: Source, named: Named) -> str | None:
        """
        Say what is wrong with an identity a permission names, None when nothing is.

        It must have been pushed, as an identity or with an alias (seed 004: a mere member "is not recognized
        by the provider"), and not be disabled since. In the Email Security Provider every e-mail address is a
        user, and nothing else is known.
        """
        provider_id = named.provider or self.default(source)
        what = f"the identity {named.name!r} ({named.type}) of {provider_id!r}"
        provider = self._providers.get(provider_id)
        if provider is None or (provider.id not in source.providers and provider.id != EMAIL_PROVIDER):
            return f"{what} is invalid: the source is not linked to this provider"
        if provider.type == "EMAIL":
            valid = named.type == "USER" and identities.is_email(named.name)
            return None if valid else f"{what} is invalid: it is no e-mail address of a user"
        key = self._providers.key(provider.id, named.type, named.name)
        state = self._identities.state((provider.n, key.name, TYPES.index(key.type)))
        if state == KNOWN:
            return None
        return f"{what} is disabled" if state == DISABLED else f"{what} is unknown: it was never pushed"

    @staticmethod
    def default(source: Source) -> str:
        """
        Give the provider of permissions that name none: the first linked to the source (seed 002).

        uncertain: a source linked to none; here the Email Security Provider, as the first samples of seed 000
        name e-mail users and no provider.
        """
        return source.providers[0] if source.providers else EMAIL_PROVIDER

    # -- who sees --------------------------------------------------------------------------------------------

    def permissions(self, source: Source, uri: str) -> list[dict[str, Any]] | None:
        """
        Give an item's permissions, None when it has none.

        :raises KeyError: when the index does not hold the item
        """
        body = self._store.body(source.n, uri)
        if body is None:
            raise KeyError(f"the index holds no item {uri!r} of the source {source.id!r}")
        text = jsontext.members(body).get("permissions")
        return None if text is None else jsontext.parse(text)

    def verdict(self, source: Source, uri: str, user: Key | None) -> Verdict:
        """
        Say whether a user sees an item, and by which rule.

        What an item of a source that is not secured says about permissions does not matter (platform-api.md
        3): ``SHARED`` is for any user, ``PRIVATE`` for its owner, who is nobody here.

        :param user: None when unauthenticated
        :raises KeyError: when the index does not hold the item
        """
        found = self.permissions(source, uri)
        if source.visibility != "SECURED":
            return Verdict(source.visibility == "SHARED", None, source.visibility.lower())
        if found is None:
            return Verdict(False, None, "unnamed")
        resolved = None if user is None else access.resolve(user, self)
        return access.judge(found, resolved, lambda entry: self._named(source, entry))

    def user(self, name: str, provider_id: str | None = None) -> Key:
        """Give the key of a user who logs in, by e-mail address unless another provider is named."""
        return self._providers.key(provider_id or EMAIL_PROVIDER, "USER", name)

    def viewers(self, source: Source, uri: str) -> list[str]:
        """
        Give the names of the known users who see an item, and ``anonymous`` when everybody does.

        Known are the users that were pushed or named by a push, in whatever provider; each is looked at, so
        this is for organizations of some thousands.
        """
        found = {
            row.name for row in self.users() if self.verdict(source, uri, self._providers.key_of(row)).allowed
        }
        if self.verdict(source, uri, None).allowed:
            found.add(ANONYMOUS)
        return sorted(found)

    def users(self) -> list[IdentityRow]:
        """Every enabled user that was pushed or named."""
        every = [one.n for one in self._providers.all()]
        rows, _ = self._identities.page(every, types=[TYPES.index("USER")])
        return [row for row in rows if row.state != DISABLED]

    def _named(self, source: Source, entry: Mapping[str, Any]) -> Key:
        provider = entry.get("securityprovider") or self.default(source)
        kind = access.type_of(entry.get("identitytype")) or "UNKNOWN"
        return self._providers.key(provider, kind, entry["identity"])

    # -- access.Relations ------------------------------------------------------------------------------------

    def disabled(self, key: Key) -> bool:
        """See :class:`~coveo_provider.sandbox.service.access.Relations`."""
        spot = self._providers.spot(key)
        return spot is not None and self._identities.state(spot) == DISABLED

    def neighbours(self, key: Key) -> Iterable[Key]:
        """See :class:`~coveo_provider.sandbox.service.access.Relations`."""
        spot = self._providers.spot(key)
        if spot is None:
            return
        for row in self._identities.ends(spot, (ALIAS, GRANTED, ALIAS_GRANTED)):
            yield self._providers.key_of(row)
        for row in self._identities.ends(spot, (MEMBER, ALIAS), back=True):
            yield self._providers.key_of(row)
