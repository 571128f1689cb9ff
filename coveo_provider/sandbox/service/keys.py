"""API keys, and the privileges each one has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# docs/api-notes.md, "Hosts and keys", with the owners left out.
PRIVILEGES = frozenset(
    (
        "ORGANIZATION:VIEW",
        *(f"SOURCE:{level}" for level in ("VIEW", "EDIT", "CREATE")),
        *(f"SECURITY_PROVIDER:{level}" for level in ("VIEW", "EDIT", "CREATE")),
        *(f"FIELD:{level}" for level in ("VIEW", "EDIT", "CREATE")),
        "ACTIVITIES:VIEW",
    )
)


class Keys:
    """
    The keys of the organization.

    :param first: a key with every privilege
    """

    def __init__(self, first: str) -> None:
        self._privileges = {first: PRIVILEGES}

    def add(self, key: str, privileges: Iterable[str]) -> None:
        """
        Let a key in.

        :raises ValueError: for a privilege the sandbox does not know
        """
        wanted = frozenset(privileges)
        if unknown := wanted - PRIVILEGES:
            raise ValueError(f"unknown privileges: {', '.join(sorted(unknown))}")
        self._privileges[key] = wanted

    def privileges(self, key: str) -> frozenset[str] | None:
        """Give what a key may do; None for an unknown one."""
        return self._privileges.get(key)
