"""
Accepted operations on identities become the security cache's content.

Everything here runs on the pipeline's one thread. The source log of the service is about items; what happens
to identities is kept in a log of its own, where a container's good entries are one ``COMPLETED`` and each
refused one an entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.security import identity_rules
from coveo_provider.sandbox.service.security.access_rules import TYPES, fold
from coveo_provider.sandbox.service.security.identity_rules import IdentityRefused, Pushed, Rules, Who
from coveo_provider.sandbox.service.security.identity_store import (
    ALIAS,
    ALIAS_GRANTED,
    GRANTED,
    MEMBER,
    IdentityLogRow,
    Spot,
)

if TYPE_CHECKING:
    from pathlib import Path

    from coveo_provider.sandbox.service.clock import Clock
    from coveo_provider.sandbox.service.database import Database
    from coveo_provider.sandbox.service.security.identity_store import IdentityStore
    from coveo_provider.sandbox.service.security.providers import Provider, Providers

# Entries per transaction; a slice ends earlier when its entries name this many others.
SLICE, MOST_NAMED = 1000, 20_000
SECTIONS = ("members", "mappings", "deleted")
OPERATIONS = {"members": "ADD", "mappings": "MAP", "deleted": "DISABLE"}
_NUMBERS = {name: number for number, name in enumerate(TYPES)}


class IdentityUpdates:
    """
    Applies identity operations to the database.

    :param stopped: looked at between slices
    """

    def __init__(
        self,
        database: Database,
        identities: IdentityStore,
        providers: Providers,
        clock: Clock,
        stopped: Callable[[], bool],
    ) -> None:
        self._database, self._identities, self._providers = database, identities, providers
        self._clock, self._stopped = clock, stopped

    def rules(self, provider: Provider) -> Rules:
        """Give what a pushed identity is checked against."""
        return Rules(provider.id, tuple(dict.fromkeys(provider.cascades.values())))

    def apply(self, provider: Provider, section: str, text: bytes, ordering: int) -> None:
        """Apply one identity (``members``), alias (``mappings``) or disabling (``deleted``)."""
        self._section(provider, section, [text], ordering, single=True)

    def batch(self, provider: Provider, file_id: str, path: Path, ordering: int) -> None:
        """
        Apply a ``BatchIdentityBody``, its arrays in the order the page has them.

        A container nobody can read is one error, and its file is gone either way.
        """
        try:
            with path.open("rb") as file:
                arrays, unread = jsontext.container(file.fileno(), SECTIONS)
            error = f"not read: {', '.join(unread)}" if unread else None
            self._note(provider, file_id, "BATCH_FILE", "WARNING" if unread else "COMPLETED", ordering, error)
            for section in SECTIONS:
                self._section(provider, section, arrays.get(section, ()), ordering)
        except jsontext.BadJsonError as error:
            why = f"the container is refused: {error}"
            self._note(provider, file_id, "BATCH_FILE", "ERROR", ordering, why)
        finally:
            path.unlink(missing_ok=True)

    def raise_floor(self, provider: Provider, ordering: int) -> None:
        """Take note of a disable-older: what is older than it is rejected from here on."""
        self._providers.raise_floor(provider, ordering)
        self._note(provider, provider.id, "DISABLE_OLDER_THAN", "COMPLETED", ordering)

    def disable_older(self, provider: Provider, ordering: int) -> None:
        """Disable the identities whose orderingId is strictly lower."""
        with self._database.transaction():
            self._identities.disable_older(provider.n, ordering, self._clock.now_ms())

    def _section(
        self, provider: Provider, section: str, texts: Sequence[Any], ordering: int, *, single: bool = False
    ) -> None:
        rules = self.rules(provider)
        good: list[Pushed] = []
        log: list[IdentityLogRow] = []
        named = 0
        for text in texts:
            try:
                pushed = identity_rules.read(bytes(text), section, rules)
            except IdentityRefused as refused:
                name = refused.name.encode("utf-8", "replace").decode()
                log.append(self._row(provider, name, OPERATIONS[section], "ERROR", ordering, refused.message))
            else:
                good.append(pushed)
                named += len(pushed.members) + len(pushed.aliases) + len(pushed.granted)
            if len(good) + len(log) >= SLICE or named >= MOST_NAMED:
                if self._stopped():
                    return
                self._write(provider, section, good, ordering, log, single=single)
                good, log, named = [], [], 0
        self._write(provider, section, good, ordering, log, single=single)

    def _write(
        self,
        provider: Provider,
        section: str,
        good: Sequence[Pushed],
        ordering: int,
        log: list[IdentityLogRow],
        *,
        single: bool,
    ) -> None:
        operation = OPERATIONS[section]
        with self._database.transaction():
            for pushed in good:
                spot = self._spot(provider, pushed.who)
                stored = self._identities.row_and_ordering(spot)
                error = self._order_problem(provider, ordering, stored[1] if stored else 0)
                result = "REJECTED" if error else "COMPLETED"
                if not error and section == "deleted":
                    if stored is None:
                        result, error = "SKIPPED", "the identity is not known"
                    else:
                        self._identities.disable(stored[0], ordering, self._clock.now_ms())
                elif not error:
                    # A row that was only named has no edges of its own to replace.
                    self._push(provider, section, spot, pushed, ordering, fresh=not (stored and stored[1]))
                if error or single:
                    log.append(self._row(provider, pushed.who.name, operation, result, ordering, error))
            self._identities.log(log)

    def _push(
        self, provider: Provider, section: str, spot: Spot, pushed: Pushed, ordering: int, *, fresh: bool
    ) -> None:
        """
        Put the pushed version in place of the stored one (docs 55: always send the complete member list).

        An identity and its alias are pushed by two calls and replace each other's lists not: a new member list
        leaves the aliases, and a new alias the members (``docs/api-notes.md, "Security identities"``).
        """
        now = self._clock.now_ms()
        self._identities.push(
            spot, pushed.who.name, ordering, now, pushed.who.info, keep_info=section == "mappings"
        )
        kinds = (MEMBER, GRANTED) if section == "members" else (ALIAS, ALIAS_GRANTED)
        edges = [
            *((kinds[0], self._spot(provider, who), who.name) for who in pushed.members or pushed.aliases),
            *((kinds[1], self._spot(provider, who), who.name) for who in pushed.granted),
        ]
        if fresh and not edges:
            return
        self._identities.name((other, name) for _, other, name in edges)
        stored = self._identities.row_and_ordering(spot)
        if stored is not None:
            self._identities.replace_edges(stored[0], kinds, ((kind, other) for kind, other, _ in edges))

    def _spot(self, provider: Provider, who: Who) -> Spot:
        if who.provider and who.provider != provider.id:
            # An alias's provider was checked when it was read; it exists as long as one cascades to it.
            provider = self._providers.get(who.provider) or provider
        return provider.n, fold(who.name, case_sensitive=provider.case_sensitive), _NUMBERS[who.type]

    @staticmethod
    def _order_problem(provider: Provider, ordering: int, stored: int) -> str | None:
        if ordering < stored:
            return f"the orderingId {ordering} is lower than the identity's, {stored}"
        if provider.floor is not None and ordering < provider.floor:
            return f"the orderingId {ordering} is lower than {provider.floor}, left by a disable-older"
        return None

    def _row(
        self,
        provider: Provider,
        name: str,
        operation: str,
        result: str,
        ordering: int,
        error: str | None = None,
    ) -> IdentityLogRow:
        return IdentityLogRow(self._clock.now_ms(), provider.n, name, operation, result, ordering, error)

    def _note(
        self,
        provider: Provider,
        name: str,
        operation: str,
        result: str,
        ordering: int,
        error: str | None = None,
    ) -> None:
        self._identities.log([self._row(provider, name, operation, result, ordering, error)])
