"""Which identities an item may name, and who sees what is in the index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.records import EntryView, SetView
from coveo_provider.sandbox.service.security import access_rules, identity_rules
from coveo_provider.sandbox.service.security.access_rules import EMAIL_PROVIDER, TYPES, Key, Verdict
from coveo_provider.sandbox.service.security.identity_store import (
    ALIAS,
    ALIAS_GRANTED,
    DISABLED,
    GRANTED,
    KNOWN,
    MEMBER,
)
from coveo_provider.sandbox.service.security.item_permissions import Named

if TYPE_CHECKING:
    from coveo_provider.sandbox.service.indexing.item_store import ItemStore
    from coveo_provider.sandbox.service.security.identity_store import IdentityRow, IdentityStore
    from coveo_provider.sandbox.service.security.providers import Providers
    from coveo_provider.sandbox.service.sources import Source

ANONYMOUS = "anonymous"


class ItemAccess:
    """Answers from the index and the security cache as they are now."""

    def __init__(self, items: ItemStore, identities: IdentityStore, providers: Providers) -> None:
        self._items, self._identities, self._providers = items, identities, providers

    # -- as an item comes in ---------------------------------------------------------------------------------

    def problems(self, source: Source, named: Iterable[Named]) -> dict[Named, str]:
        """
        Say what is wrong with identities that permissions name, for those with which something is.

        An item is indexed all the same: it may come before its identities (docs 1336 pushes the item, then its
        group, then the aliases; probe: unknown-group). One that is unknown is in its provider's list from here
        on, in error.
        """
        problems = {one: why for one in named if (why := self._problem(source, one))}
        for one in problems:
            provider = self._providers.get(one.provider or self.default(source))
            if provider is not None and provider.type != "EMAIL" and provider.id in source.providers:
                key = self._providers.key(provider.id, one.type, one.name)
                self._identities.name([((provider.n, key.name, TYPES.index(key.type)), one.name)])
        return problems

    def _problem(self, source: Source, named: Named) -> str | None:
        """
        Say what is wrong with an identity, None when nothing is; who is only named so is let in by nothing.

        It must have been pushed, as an identity or with an alias (docs 1336: a mere member "is not recognized
        by the provider"), and not be disabled since. In the Email Security Provider every e-mail address is a
        user, and nothing else is known.
        """
        provider_id = named.provider or self.default(source)
        what = f"the identity {named.name!r} ({named.type}) of {provider_id!r}"
        provider = self._providers.get(provider_id)
        if provider is None or (provider.id not in source.providers and provider.id != EMAIL_PROVIDER):
            return f"{what} is invalid: the source is not linked to this provider"
        if provider.type == "EMAIL":
            valid = named.type == "USER" and identity_rules.is_email(named.name)
            return None if valid else f"{what} is invalid: it is no e-mail address of a user"
        key = self._providers.key(provider.id, named.type, named.name)
        state = self._identities.state((provider.n, key.name, TYPES.index(key.type)))
        if state == KNOWN:
            return None
        return f"{what} is disabled" if state == DISABLED else f"{what} is unknown: it was never pushed"

    @staticmethod
    def default(source: Source) -> str:
        """
        Give the provider of permissions that name none: the first linked to the source (docs 78).

        For a source linked to none it is the Email Security Provider, as the first samples of Coveo's older
        Python SDK name e-mail users and no provider (``docs/api-notes.md, "Permissions"``).
        """
        return source.providers[0] if source.providers else EMAIL_PROVIDER

    # -- who sees --------------------------------------------------------------------------------------------

    def permissions(self, source: Source, uri: str) -> list[dict[str, Any]] | None:
        """
        Give an item's permissions, None when it has none.

        :raises KeyError: when the index does not hold the item
        """
        body = self._items.body(source.n, uri)
        if body is None:
            raise KeyError(f"the index holds no item {uri!r} of the source {source.id!r}")
        text = jsontext.members(body).get("permissions")
        return None if text is None else jsontext.parse(text)

    def verdict(self, source: Source, uri: str, user: Key | None) -> Verdict:
        """
        Say whether a user sees an item, and by which rule.

        What an item of a source that is not secured says about permissions does not matter (docs 1779):
        ``SHARED`` is for any user, ``PRIVATE`` for its owner, who is nobody here.

        :param user: None when unauthenticated
        :raises KeyError: when the index does not hold the item
        """
        permissions = self.permissions(source, uri)
        if source.visibility != "SECURED":
            return Verdict(source.visibility == "SHARED", None, source.visibility.lower())
        if permissions is None:
            return Verdict(False, None, "unnamed")
        resolved = None if user is None else access_rules.resolve(user, self)
        return access_rules.judge(
            permissions,
            resolved,
            lambda entry: self._key(self._named(source, entry)),
            lambda entry: self._problem(source, self._named(source, entry)) is None,
        )

    def entries(self, source: Source, uri: str, user: Key | None) -> list[list[SetView]]:
        """
        Give the sets of each level of an item's permissions, with what they have to do with a user.

        :raises KeyError: when the index does not hold the item
        """
        identities = {} if user is None else access_rules.resolve(user, self)

        def view(entry: Mapping[str, Any]) -> EntryView:
            named = self._named(source, {key.lower(): value for key, value in entry.items()})
            key: Key | None = self._key(named)
            path: list[str] = []
            if key in identities:
                while key is not None:
                    path.insert(0, key.name)
                    key = identities[key]
            provider = named.provider or self.default(source)
            return EntryView(
                named.name, named.type, provider, tuple(path), self._problem(source, named) or ""
            )

        def sides(one: Mapping[str, Any], side: str) -> tuple[EntryView, ...]:
            return tuple(map(view, one.get(side) or ()))

        return [
            [
                SetView(
                    one.get("allowanonymous") is True,
                    sides(one, "allowedpermissions"),
                    sides(one, "deniedpermissions"),
                )
                for one in level
            ]
            for level in access_rules.levels(self.permissions(source, uri) or ())
        ]

    def user(self, name: str, provider_id: str | None = None) -> Key:
        """Give the key of a user who logs in, by e-mail address unless another provider is named."""
        return self._providers.key(provider_id or EMAIL_PROVIDER, "USER", name)

    def viewers(self, source: Source, uri: str) -> list[str]:
        """
        Give the names of the known users who see an item, and ``anonymous`` when everybody does.

        Known are the users that were pushed or named by a push, in whatever provider; each is looked at, so
        this is for organizations of some thousands.
        """
        viewers = {
            row.name for row in self.users() if self.verdict(source, uri, self._providers.key_of(row)).allowed
        }
        if self.verdict(source, uri, None).allowed:
            viewers.add(ANONYMOUS)
        return sorted(viewers)

    def users(self) -> list[IdentityRow]:
        """Give every enabled user that was pushed or named."""
        every = [one.n for one in self._providers.all()]
        rows, _ = self._identities.page(every, types=[TYPES.index("USER")])
        return [row for row in rows if row.state != DISABLED]

    def _named(self, source: Source, entry: Mapping[str, Any]) -> Named:
        provider = entry.get("securityprovider") or self.default(source)
        return Named(
            provider, access_rules.type_of(entry.get("identitytype")) or "UNKNOWN", entry["identity"]
        )

    def _key(self, named: Named) -> Key:
        return self._providers.key(named.provider or EMAIL_PROVIDER, named.type, named.name)

    # -- access_rules.Relations ------------------------------------------------------------------------------

    def disabled(self, key: Key) -> bool:
        """See :class:`~coveo_provider.sandbox.service.security.access_rules.Relations`."""
        spot = self._providers.spot(key)
        return spot is not None and self._identities.state(spot) == DISABLED

    def neighbours(self, key: Key) -> Iterable[Key]:
        """See :class:`~coveo_provider.sandbox.service.security.access_rules.Relations`."""
        spot = self._providers.spot(key)
        if spot is None:
            return
        for row in self._identities.ends(spot, (ALIAS, GRANTED, ALIAS_GRANTED)):
            yield self._providers.key_of(row)
        for row in self._identities.ends(spot, (MEMBER, ALIAS), back=True):
            yield self._providers.key_of(row)
