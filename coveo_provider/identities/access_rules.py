"""
Before a push: how many documents are public or seen by nobody, and whether they keep to rules of access.

Permissions are evaluated once per distinct value, however many documents have them. Imports nothing heavy;
parts are read with what a running task has loaded.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NoReturn

from coveo_provider.documents.contract import DOCUMENT_ID, PERMISSIONS, shown
from coveo_provider.documents.permissions.models import PermissionIdentity, Permissions
from coveo_provider.documents.permissions.spelling import IdentityType
from coveo_provider.errors import DataError, DatasetError, DocumentError
from coveo_provider.identities.access import Access, Evaluation
from coveo_provider.identities.graph import NOBODY, STRANGER, IdentityGraph, Key

if TYPE_CHECKING:
    import pyarrow as pa

    from coveo_provider.documents.dataset.tables import Part

_EXAMPLES = 3
_ID = DOCUMENT_ID.lower()
_REMEMBERED = 100_000  # distinct permissions whose verdict is kept
_PEOPLE = frozenset({IdentityType.USER, IdentityType.UNKNOWN})


@dataclass(frozen=True)
class AccessSurvey:
    """
    What a dataset's permissions say, counted in documents.

    :param documents: all
    :param public: seen without logging in
    :param hidden: seen by no identity that is known
    :param unknown: name an identity that was not pushed itself, or is disabled: the service rejects them
    :param unstated: have no permissions: public or refused, as the source is set up
    :param examples: ids of a few documents for each of the above, by its name
    :param unknown_identities: a few of those, the first ones met
    """

    documents: int = 0
    public: int = 0
    hidden: int = 0
    unknown: int = 0
    unstated: int = 0
    examples: dict[str, list[str]] = field(default_factory=dict)
    unknown_identities: list[PermissionIdentity] = field(default_factory=list)


@dataclass(frozen=True)
class AccessRule:
    """
    What must hold of documents: none is anonymous and, with ``only``, nobody outside some groups sees them.

    :param documents: which ones: an id with ``*`` and ``?``, such as ``hr://*``
    :param only: groups (or users); a name alone is a group of the default provider

    >>> AccessRule("hr://*", only="HR")
    """

    documents: str = "*"
    only: Sequence[PermissionIdentity | str] = ()

    def __init__(
        self,
        documents: str = "*",
        only: Iterable[PermissionIdentity | str] | PermissionIdentity | str = (),
    ) -> None:
        object.__setattr__(self, "documents", documents)
        one = isinstance(only, (str, PermissionIdentity))
        object.__setattr__(self, "only", (only,) if one else tuple(only))  # type: ignore[arg-type]

    def __str__(self) -> str:
        if not self.only:
            return f"no document {self.documents} may be anonymous"
        return f"{self.documents} only for {', '.join(map(str, self.only))}"


def survey_access(documents: Iterable[Part] | pa.Array, identities: IdentityGraph) -> AccessSurvey:
    """
    Count the documents that are public, seen by nobody, or name an unknown identity.

    :param documents: parts of a documents dataset, or a column of permissions
    :raises DataError: permissions cannot be read
    """
    counts = dict.fromkeys(("documents", "public", "hidden", "unknown", "unstated"), 0)
    examples: dict[str, list[str]] = {}
    unknown: dict[Key, PermissionIdentity] = {}
    verdicts: dict[str | None, list[str]] = {}
    for name, text in stated_permissions(documents):
        if text not in verdicts:
            if len(verdicts) >= _REMEMBERED:
                verdicts.clear()
            verdicts[text] = _verdict(text, identities, unknown)
        counts["documents"] += 1
        for verdict in verdicts[text]:
            counts[verdict] += 1
            if counts[verdict] <= _EXAMPLES:
                examples.setdefault(verdict, []).append(name)
    return AccessSurvey(**counts, examples=examples, unknown_identities=list(unknown.values())[:_EXAMPLES])


def check_access(documents: Iterable[Part], identities: IdentityGraph, rules: Iterable[AccessRule]) -> int:
    """
    Check documents against rules and return how many were checked.

    A document without permissions breaks every rule: whether it is public depends on the source.

    :param documents: the parts of a dataset
    :param identities: who belongs where
    :param rules: who may see what
    :raises DataError: names the first documents that break a rule, and by which way somebody gets in
    """
    checks = [_Check(rule, identities) for rule in rules]
    broken: list[str] = []
    more = total = 0
    for name, text in stated_permissions(documents):
        total += 1
        for check in checks:
            if not check.covers(name) or (problem := check.problem(text)) is None:
                continue
            if len(broken) < _EXAMPLES:
                broken.append(f"document {shown(name)} breaks the rule “{check.rule}”: {problem}")
            else:
                more += 1
    if broken:
        raise DataError("; ".join(broken) + (f"; and {more:,} more" if more else ""))
    return total


def permissions_of(documents: Iterable[Part], wanted: Collection[str]) -> dict[str, str | None]:
    """Return the permissions of some documents, as JSON text; ``None`` for one that states none."""
    return {name: text for name, text in stated_permissions(documents) if name in wanted}


class _Check:
    """One rule, with what it found out so far."""

    def __init__(self, rule: AccessRule, graph: IdentityGraph) -> None:
        self.rule, self._graph = rule, graph
        self._matches = re.compile(translate(rule.documents)).match
        self._known: dict[str | None, str | None] = {}

    @cached_property
    def _insiders(self) -> set[Key]:
        groups = (self._graph.named(each, IdentityType.GROUP) for each in self.rule.only)
        return set(self._graph.inside(map(self._graph.key, groups)))

    def covers(self, document: str) -> bool:
        return self.rule.documents == "*" or self._matches(document) is not None

    def problem(self, text: str | None) -> str | None:
        if text not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[text] = self._find(text)
        return self._known[text]

    def _find(self, text: str | None) -> str | None:
        if text is None:
            return "it has no permissions, so the source decides whether it is public"
        evaluation = Evaluation(Permissions.parse(text), self._graph)
        if (access := evaluation.of(NOBODY)).allowed:
            return f"it is public: {access.reason}"
        if not self.rule.only:
            return None
        if (access := evaluation.of(STRANGER)).allowed:
            return f"everybody who is logged in sees it: {access.reason}"
        for user, access in _visitors(evaluation, self._graph, self._insiders, trusting=True):
            return f"{user} sees it: {access.reason} ({' → '.join(map(str, access.path))})"
        return None


def _verdict(text: str | None, graph: IdentityGraph, unknown: dict[Key, PermissionIdentity]) -> list[str]:
    if text is None:
        return ["unstated"]
    evaluation = Evaluation(Permissions.parse(text), graph)
    verdict = []
    if evaluation.of(NOBODY).allowed:
        verdict.append("public")
    elif not evaluation.of(STRANGER).allowed and next(_visitors(evaluation, graph, set()), None) is None:
        verdict.append("hidden")
    strangers = [identity for identity in evaluation.named() if not graph.has(identity)]
    if strangers:
        verdict.append("unknown")
        for identity in strangers:
            if len(unknown) < _EXAMPLES:
                unknown.setdefault(graph.key(identity), identity)
    return verdict


def _visitors(
    evaluation: Evaluation, graph: IdentityGraph, besides: set[Key], *, trusting: bool = False
) -> Iterator[tuple[PermissionIdentity, Access]]:
    """
    Return the users who see an item because some entry names them, or a group around them.

    :param besides: identities not to look at, nor into
    :param trusting: whether a user that only the item names counts as well
    """
    entries = dict(evaluation.allowed())
    waiting = deque(
        key for key, identity in entries.items() if (trusting or graph.knows(identity)) and key not in besides
    )
    known = set(waiting)
    while waiting:
        key = waiting.popleft()
        if graph.is_disabled(key):
            continue
        if key[1] in _PEOPLE and (access := evaluation.of(graph.resolve_key(key))).allowed:
            yield graph.identity(key), access
        for member in graph.members(key):
            if member not in known and member not in besides:
                known.add(member)
                waiting.append(member)


def stated_permissions(documents: Iterable[Part] | pa.Array) -> Iterator[tuple[str, str | None]]:
    """
    Return the id and the permissions of each document, these as checked JSON; ``None`` where it has none.

    :raises DataError: permissions cannot be read
    """
    if hasattr(documents, "null_count"):  # a column
        column: Any = documents
        yield from _column(column, [f"in row {row:,}" for row in range(len(column))])
        return
    for part in documents:
        names = {name.lower(): name for name in part.schema.names}
        if _ID not in names:
            raise DatasetError(f"{part.name}: column {DOCUMENT_ID} is missing")
        for batch in part.batches([names[key] for key in (_ID, PERMISSIONS) if key in names]):
            ids = [str(name) for name in batch.column(names[_ID]).to_pylist()]
            if PERMISSIONS in names:
                yield from _column(batch.column(names[PERMISSIONS]), ids)
            else:
                yield from ((name, None) for name in ids)


def _column(column: Any, names: list[str]) -> Iterator[tuple[str, str | None]]:
    from coveo_provider.documents.permissions.arrays import permission_texts

    def refuse(before: int, row: int, problem: str) -> NoReturn:
        raise DocumentError(shown(names[before + row]), f"permissions: {problem}")

    chunks = column.chunks if hasattr(column, "chunks") else [column]
    done = 0
    for chunk in chunks:
        texts = permission_texts(chunk, partial(refuse, done)).texts
        yield from zip(names[done : done + len(chunk)], texts.to_list(), strict=True)
        done += len(chunk)
