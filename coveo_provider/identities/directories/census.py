"""
Entries of an export → who belongs to whom, checked: what is missing, doubled or unclear must cost nobody's access.

Memory: some 150 bytes a user and 40 a membership. Names of members are hashes of 64 bits until they are looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import polars as pl

from coveo_provider.documents.contract import counted, shown
from coveo_provider.errors import ConfigurationError, DatasetError
from coveo_provider.identities.directories.entries import Entry, EntryKind

_AT_ONCE = 20_000
_NAMED = 3
_ADDRESS = r"^[^@\s:<>]+@[^@\s:<>]+$"
_GUEST = "#EXT#@"
"""Nobody logs in by ``SMTP:ann@acme.example`` of ``proxyAddresses``, nor by the name that Entra gives a guest."""
_USER, _GROUP, _OTHER, _UNKNOWN = (int(kind) for kind in EntryKind)

Entries = Callable[[], Iterable[Entry]]
"""Reads the export from its start."""


@dataclass
class Census:
    """
    Who belongs to whom.

    :param people: enabled users, in order of their names: ``name``, ``emails`` (a list)
    :param groups: in order of their names: ``name``
    :param memberships: ``group`` and ``member``, rows of ``groups``, and of ``people`` or ``groups``, as
        ``member_is_group`` says; in order of these
    :param counts: what was found, and what was left out
    :param warnings: sentences on what may not be as it was meant
    """

    people: pl.DataFrame
    groups: pl.DataFrame
    memberships: pl.DataFrame
    counts: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Rules:
    """
    What an export has to be.

    :param case_sensitive: whether the provider tells names apart that differ in case only
    :param max_unknown: share of the memberships that may name nobody in the export, 0 to 1; these are left out
    :param merge: whether rows of one user belong together, as in a table of memberships
    :raises ConfigurationError: ``max_unknown`` is no share
    """

    case_sensitive: bool = False
    max_unknown: float = 0.0
    merge: bool = False

    def __post_init__(self) -> None:
        share = self.max_unknown
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise ConfigurationError(f"max_unknown must be a share between 0 and 1, not {share!r}")


def census_of(entries: Entries, rules: Rules) -> Census:
    """
    Return who belongs to whom, as an export says.

    :param entries: called once, and again for examples of what is wrong
    :raises DatasetError: the export is empty, incomplete or contradicts itself; says what and where
    """
    return _Taker(entries, rules).taken()


class _Taker:
    def __init__(self, entries: Entries, rules: Rules) -> None:
        self._entries, self._rules = entries, rules
        self._named_only: dict[str, str | None] = {}  # groups by key, until their own entries are known
        self.warnings: list[str] = []
        self.counts: dict[str, int] = {}

    def taken(self) -> Census:
        entries, keys, edges = self._read()
        entries, keys = self._without_doubles(entries, keys)
        entries, keys = self._with_named_groups(entries, keys, edges)
        self._refuse_empty(entries, edges)
        self._tell_disabled(entries)
        kept = entries.filter(pl.col("kind").is_in([_USER, _GROUP]) & ~pl.col("disabled").fill_null(False))
        self._refuse_nameless(kept)
        self._refuse_equal_names(kept)
        linked = self._linked(entries, keys, edges)
        people = self._people(kept)
        groups = kept.filter(pl.col("kind") == _GROUP).sort("name").with_row_index("row")
        memberships = _memberships(linked, people, groups)
        if memberships.is_empty():
            raise DatasetError(
                f"source: holds {counted(len(people), 'enabled user')}, {counted(len(groups), 'group')}, and "
                "nobody in "
                "any of them: were member or memberOf exported? All would lose access"
            )
        self.counts |= {
            "users": len(people),
            "groups": len(groups),
            "memberships": len(memberships),
            "empty_groups": len(groups) - memberships["group"].n_unique(),
        }
        return Census(
            people.select("name", "emails"), groups.select("name"), memberships, self.counts, self.warnings
        )

    def _read(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Return entries, their keys and the memberships, keys as hashes."""
        read, keys, edges = [], [], []
        iterator = iter(self._entries())
        first = 0
        while batch := list(islice(iterator, _AT_ONCE)):
            read.append(
                pl.DataFrame(
                    {
                        "key": _hashes([one.keys[0] for one in batch]),
                        "kind": pl.Series([int(one.kind) for one in batch], dtype=pl.UInt8),
                        "disabled": pl.Series([one.disabled for one in batch], dtype=pl.Boolean),
                        "name": pl.Series([one.name for one in batch], dtype=pl.String),
                        "emails": pl.Series([list(one.emails) for one in batch], dtype=pl.List(pl.String)),
                        "label": pl.Series([one.label for one in batch], dtype=pl.String),
                    }
                )
            )
            owners = [n for n, one in enumerate(batch, start=first) for _ in one.keys]
            keys.append(
                pl.DataFrame(
                    {
                        "key": _hashes([key for one in batch for key in one.keys]),
                        "entry": pl.Series(owners, dtype=pl.UInt32),
                        "own": pl.Series([n == 0 for one in batch for n, _ in enumerate(one.keys)]),
                    }
                )
            )
            edges.append(self._edges(batch))
            first += len(batch)
        if not read:
            raise DatasetError("source: holds no entry. An empty export would take everybody's access")
        return pl.concat(read), pl.concat(keys), pl.concat(edges)

    def _edges(self, batch: Sequence[Entry]) -> pl.DataFrame:
        pairs = [(one.keys[0], key, 0) for one in batch for key in one.members]
        for one in batch:
            for group in one.groups:
                pairs.append((group.key, one.keys[0], 1))
                if self._named_only.get(group.key) is None:
                    self._named_only[group.key] = group.name
            if one.primary_group is not None:
                pairs.append((one.primary_group, one.keys[0], 2))
        groups, members, said = zip(*pairs, strict=True) if pairs else ((), (), ())
        return pl.DataFrame(
            {
                "group": _hashes(groups),
                "member": _hashes(members),
                "said": pl.Series(said, dtype=pl.UInt8),  # by the group, by the member, or its primary group
            }
        )

    def _without_doubles(
        self, entries: pl.DataFrame, keys: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        entries = entries.with_row_index("entry")
        first = entries.select(pl.col("key").is_first_distinct()).to_series()
        if not first.all():
            again = entries.filter(~first)
            if not self._rules.merge:
                raise DatasetError(
                    f"source: {_listed(again['label'])} {'stands' if len(again) == 1 else 'stand'} twice in "
                    "the export: "
                    "is a file or page among them twice, or one of an older export?"
                )
            once = entries.unique("key", keep="first", maintain_order=True)
            other = again.join(once, on="key", suffix="_first").filter(
                pl.any_horizontal(
                    pl.col(name).ne_missing(pl.col(f"{name}_first"))
                    for name in ("disabled", "name", "emails", "kind")
                )
            )
            if len(other):
                raise DatasetError(
                    f"source: {_listed(other['label'])} stands in several rows that differ in its name, "
                    "e-mail address or "
                    "whether it is disabled: which is right is not known"
                )
            entries = once
        keys = keys.join(entries.select("entry"), on="entry", how="semi")
        # A second key that two have, such as the uid of two branches, names neither of them.
        clear = keys.filter(pl.col("own") | (pl.len().over("key") == 1))
        return entries, clear.unique("key", keep="first").select("key", "entry")

    def _with_named_groups(
        self, entries: pl.DataFrame, keys: pl.DataFrame, edges: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Add the groups that stand nowhere but in what their members say; beside others, that looks cut off."""
        named = [(key, name) for key, name in self._named_only.items() if name is not None]
        found = pl.DataFrame(
            {
                "key": _hashes([key for key, _ in named]),
                "name": pl.Series([name for _, name in named], dtype=pl.String),
                "label": pl.Series([key for key, _ in named], dtype=pl.String),
            }
        ).join(keys, on="key", how="anti")
        if found.is_empty():
            return entries, keys
        told = (
            f"{counted(len(found), 'group')} {'is' if len(found) == 1 else 'are'} known from memberOf of "
            f"their members only, such as {_listed(found['name'], 1)}: which groups are in them is not known"
        )
        affected = len(edges.join(found, left_on="group", right_on="key", how="semi"))
        if (entries["kind"] == _GROUP).any() and affected > self._rules.max_unknown * len(edges):
            raise DatasetError(
                f"source: {told}, while the export holds other groups: is it cut off, or only of a part of the "
                f"directory? If that is meant, raise max_unknown={self._rules.max_unknown:g}, the share of "
                f"memberships that may be so; it is {affected:,} of {len(edges):,}"
            )
        self.warnings.append(f"{told}. Export the groups, too")
        start = int(entries["entry"].max() or 0) + 1  # type: ignore[arg-type]
        added = found.with_columns(
            entry=pl.int_range(start, start + len(found), dtype=pl.UInt32),
            kind=pl.lit(_GROUP, pl.UInt8),
            disabled=pl.lit(None, pl.Boolean),
            emails=pl.lit([], pl.List(pl.String)),
        ).select(entries.columns)
        return pl.concat([entries, added]), pl.concat([keys, added.select("key", "entry")])

    def _refuse_empty(self, entries: pl.DataFrame, edges: pl.DataFrame) -> None:
        users = entries.filter(pl.col("kind") == _USER)
        groups = entries.filter(pl.col("kind") == _GROUP)
        if users.is_empty() or groups.is_empty() or edges.is_empty():
            raise DatasetError(
                f"source: holds {counted(len(users), 'user')}, {counted(len(groups), 'group')} and "
                f"{counted(len(edges), 'membership')}, of which none may be missing: pushed, it would take "
                "everybody's "
                "access. Were objectClass, member and memberOf exported?"
            )

    def _tell_disabled(self, entries: pl.DataFrame) -> None:
        users = entries.filter(pl.col("kind") == _USER)
        disabled = users.filter(pl.col("disabled"))
        self.counts |= {
            "disabled": len(disabled),
            "others": int(entries["kind"].is_in([_OTHER, _UNKNOWN]).sum()),
        }
        untold = users.filter(pl.col("disabled").is_null())
        # A lock that only those have who are locked, as in 389 Directory, tells of the others, too.
        if len(untold) and (~users["disabled"]).any():
            raise DatasetError(
                f"source: {counted(len(untold), 'user')} of {len(users):,}, such as {_listed(untold['label'])}, "
                f"{'does' if len(untold) == 1 else 'do'} not tell whether the account is disabled, while others "
                "do: may the reader see the attribute of all? Export it of all, or leave these out"
            )
        if len(untold) == len(users):
            self.warnings.append(
                "no user tells whether the account is disabled, so all count as enabled: export "
                "userAccountControl (AD), "
                "nsAccountLock (389 Directory), active (SCIM) or accountEnabled (Entra)"
            )
        if len(disabled) == len(users):
            raise DatasetError(
                f"source: all {counted(len(users), 'user')} are disabled: all would lose access"
            )

    def _refuse_nameless(self, kept: pl.DataFrame) -> None:
        nameless = kept.filter(pl.col("name").is_null())
        for kind, argument, noun in ((_USER, "name", "enabled user"), (_GROUP, "group_name", "group")):
            found = nameless.filter(pl.col("kind") == kind)
            if len(found):
                raise DatasetError(
                    f"source: {counted(len(found), noun)} {'has' if len(found) == 1 else 'have'} no value of "
                    "the attribute "
                    f"that {argument}= names, such as {_listed(found['label'])}. Name one that all have, or "
                    "leave these "
                    "out of the export"
                )

    def _refuse_equal_names(self, kept: pl.DataFrame) -> None:
        name = pl.col("name") if self._rules.case_sensitive else pl.col("name").str.to_lowercase()
        twice = kept.filter(pl.struct("kind", name).is_duplicated())
        if len(twice):
            one = twice.sort(name, "label").head(2)
            kind = EntryKind(int(one["kind"][0])).name.lower()
            raise DatasetError(
                f"source: {kind}s {one['label'][0]!r} and {one['label'][1]!r} would both be "
                f"{one['name'][0]!r}, so that "
                f"each sees what the other may; {len(twice):,} have a name that is not theirs alone. Choose "
                "an attribute "
                f"that tells them apart by {'name' if kind == 'user' else 'group_name'}="
            )

    def _linked(self, entries: pl.DataFrame, keys: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
        """Return memberships between entries that are known, those of the disabled and of others left out."""
        kinds = keys.join(entries.select("entry", "kind", "disabled"), on="entry").drop("key")
        linked = (
            edges.unique()
            .join(keys.rename({"key": "group", "entry": "outer"}), on="group", how="left")
            .join(keys.rename({"key": "member", "entry": "inner"}), on="member", how="left")
            .join(
                kinds.unique("entry").rename({"entry": "outer", "kind": "outer_kind"}).drop("disabled"),
                on="outer",
                how="left",
            )
            .join(
                kinds.unique("entry").rename({"entry": "inner", "kind": "inner_kind"}), on="inner", how="left"
            )
        )
        known = (pl.col("outer_kind") == _GROUP) & (pl.col("inner_kind") != _UNKNOWN)
        known = known.fill_null(False)
        self._look_at_primary(linked.filter((pl.col("said") == 2) & ~known))
        self._refuse_unknown(linked.filter((pl.col("said") != 2) & ~known), int((linked["said"] != 2).sum()))
        linked = linked.filter(known)
        left_out = pl.col("disabled").fill_null(False) | (pl.col("inner_kind") == _OTHER)
        self.counts["memberships_of_disabled"] = int(linked["disabled"].fill_null(False).sum())
        return linked.filter(~left_out)

    def _look_at_primary(self, missing: pl.DataFrame) -> None:
        self.counts["without_primary_group"] = missing["member"].n_unique()
        if len(missing):
            self.warnings.append(
                f"{counted(missing['member'].n_unique(), 'user')} have a primary group, such as Domain "
                "Users, that cannot "
                "be told by its number: they are not members of it here. Export objectSid of the groups, "
                "the primary "
                "ones among them"
            )

    def _refuse_unknown(self, unknown: pl.DataFrame, total: int) -> None:
        self.counts["unknown_memberships"] = len(unknown)
        if not len(unknown):
            return
        examples = ", ".join(self._examples(unknown))
        told = (
            f"{len(unknown):,} of {counted(total, 'membership')} name somebody or a group that the export "
            "does not hold, "
            f"such as {examples}"
        )
        if len(unknown) > self._rules.max_unknown * total:
            raise DatasetError(
                f"source: {told}. Is the export cut off, or only of a part of the directory? Left out, they "
                "have no access. "
                f"If that is meant, raise max_unknown={self._rules.max_unknown:g}, the share of memberships "
                "that may be so"
            )
        self.warnings.append(f"{told}; they are left out")

    def _examples(self, unknown: pl.DataFrame) -> list[str]:
        """Return some memberships by name, for which the export is read once more."""
        wanted = set(zip(unknown["group"], unknown["member"], strict=True))
        found: list[str] = []
        iterator = iter(self._entries())
        while len(found) < _NAMED and (batch := list(islice(iterator, _AT_ONCE))):
            pairs = [(one.keys[0], key) for one in batch for key in one.members]
            pairs += [(group.key, one.keys[0]) for one in batch for group in one.groups]
            hashed = zip(_hashes([a for a, _ in pairs]), _hashes([b for _, b in pairs]), strict=True)
            for pair, key in zip(pairs, hashed, strict=True):
                if key in wanted and len(found) < _NAMED:
                    found.append(f"{_plain(pair[1])} in {_plain(pair[0])}")
        return found

    def _people(self, kept: pl.DataFrame) -> pl.DataFrame:
        """Return enabled users, with addresses that are some, and tell of those who have none."""
        people = (
            kept.filter(pl.col("kind") == _USER)
            .sort("name")
            .with_row_index("row")
            .with_columns(
                emails=pl.col("emails").list.eval(
                    pl.element()
                    .filter(
                        pl.element().str.contains(_ADDRESS) & ~pl.element().str.contains(_GUEST, literal=True)
                    )
                    .unique(maintain_order=True)
                )
            )
        )
        without = people.filter(pl.col("emails").list.len() == 0)
        self.counts["without_email"] = len(without)
        if len(without) == len(people):
            raise DatasetError(
                f"source: none of {counted(len(people), 'enabled user')} has an e-mail address in the "
                "attribute that email= "
                "names: nobody would see anything, as people are known by their addresses"
            )
        if len(without):
            self.warnings.append(
                f"{counted(len(without), 'enabled user')} {'has' if len(without) == 1 else 'have'} no e-mail "
                "address, such "
                f"as {_listed(without['name'])}: they will see nothing"
            )
        shared = people.explode("emails").filter(pl.col("emails").is_not_null())
        shared = shared.filter(pl.col("emails").str.to_lowercase().is_duplicated()).sort("emails", "name")
        self.counts["shared_emails"] = shared["emails"].str.to_lowercase().n_unique()
        if len(shared):
            names = shared.filter(pl.col("emails").str.to_lowercase() == str(shared["emails"][0]).lower())
            self.warnings.append(
                f"{counted(self.counts['shared_emails'], 'e-mail address')} belong to several users, such as "
                f"{shared['emails'][0]} to {_listed(names['name'])}: who logs in with it sees what each of "
                "them may"
            )
        return people


def _memberships(linked: pl.DataFrame, people: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """Return memberships by the rows of both sides, each once, in order."""
    rows = pl.concat([people.select("entry", "row"), groups.select("entry", "row")])
    return (
        linked.select("outer", "inner", member_is_group=pl.col("inner_kind") == _GROUP)
        .join(rows.rename({"entry": "outer", "row": "group"}), on="outer")
        .join(rows.rename({"entry": "inner", "row": "member"}), on="inner")
        .select("group", "member", "member_is_group")
        .unique()
        .sort("group", "member_is_group", "member")
    )


def _hashes(keys: Sequence[str]) -> pl.Series:
    return pl.Series(list(keys), dtype=pl.String).hash()


def _listed(names: pl.Series, most: int = _NAMED) -> str:
    return ", ".join(shown(name) for name in names.head(most))


def _plain(key: str) -> str:
    """Return a key as people know it."""
    for prefix in ("id:", "uid:", "USER:", "GROUP:"):
        key = key.removeprefix(prefix)
    return shown(key)
