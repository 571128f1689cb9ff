"""Who will see what: checked before the push, from the data alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, XComArg

from coveo_provider.errors import ConfigurationError, DataError
from coveo_provider.operators.support.base import CoveoOperator
from coveo_provider.operators.support.datasets import open_parts
from coveo_provider.operators.support.identity_graphs import identity_graph
from coveo_provider.operators.support.storage import list_parts
from coveo_provider.operators.support.values import truth

if TYPE_CHECKING:
    from coveo_provider.documents.dataset.tables import Part
    from coveo_provider.identities.graph import IdentityGraph


class CoveoCheckAccessOperator(CoveoOperator):
    """
    Stop a run whose permissions are not what they should be, before any of it is sent.

    It evaluates permissions as Coveo publishes it does: levels, sets, denials, nested groups, aliases. It calls
    no API and needs no connection.

    :param documents: URI of the documents dataset, or a list of its parts (templated)
    :param members: URI of the dataset of groups and their members, as the expansion takes it (templated)
    :param mappings: likewise of the aliases (templated)
    :param deleted: likewise of the identities to disable (templated)
    :param provider_id: the provider these belong to, and that permissions mean which name none (templated)
    :param rules: what must hold: ``{"documents": "hr://*", "only": ["HR"]}``, where ``only`` names groups;
        without ``only`` the documents may not be public (templated)
    :param expected: what is known to be right: ``{"user": "ann@acme.example", "document": "hr://pay", "sees":
        True}``; a user with ``"provider"`` belongs to that one, else to the Email Security Provider (templated)
    :param alias_provider: the provider that an alias means which names none
    :param case_sensitive: whether the provider tells names apart that differ in case only
    :return: how many ``documents`` there are, and how many are ``public``, ``hidden`` (seen by nobody known),
        name an ``unknown`` identity, or leave permissions ``unstated``
    """

    documentation = "https://docs.coveo.com/en/107/"
    template_fields: Sequence[str] = (
        "documents",
        "members",
        "mappings",
        "deleted",
        "provider_id",
        "rules",
        "expected",
    )

    def __init__(
        self,
        *,
        documents: str | Sequence[str | XComArg] | XComArg,
        provider_id: str,
        members: str | Sequence[str | XComArg] | XComArg | None = None,
        mappings: str | Sequence[str | XComArg] | XComArg | None = None,
        deleted: str | Sequence[str | XComArg] | XComArg | None = None,
        rules: Sequence[Mapping[str, Any]] = (),
        expected: Sequence[Mapping[str, Any]] = (),
        alias_provider: str = "Email Security Provider",
        case_sensitive: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.documents: Any = documents
        self.provider_id = provider_id
        self.members: Any = members
        self.mappings: Any = mappings
        self.deleted: Any = deleted
        self.rules = rules
        self.expected = expected
        self.alias_provider = alias_provider
        self.case_sensitive = case_sensitive

    def act(self, context: Context) -> dict[str, Any]:
        """Read the identities, then every document's permissions against them."""
        from coveo_provider.identities.access_rules import AccessRule, check_access, survey_access

        rules = [AccessRule(*_rule(rule)) for rule in _listed(self.rules, "rules")]
        graph = identity_graph(
            self.provider_id,
            members=self.members,
            mappings=self.mappings,
            deleted=self.deleted,
            alias_provider=self.alias_provider,
            case_sensitive=self.case_sensitive,
        )
        with open_parts(list_parts(self.documents, "documents")) as parts:
            if rules:
                check_access(parts, graph, rules)
            self._refuse_unexpected(parts, graph)
            survey = survey_access(parts, graph)
        names = ("documents", "public", "hidden", "unknown", "unstated")
        counts = {name: getattr(survey, name) for name in names}
        self.log.info("Of %s", ", ".join(f"{count:,} {name}" for name, count in counts.items()))
        for name, examples in survey.examples.items():
            self.log.info("%s, such as %s", name, ", ".join(examples))
        return counts

    def _refuse_unexpected(self, parts: Sequence[Part], graph: IdentityGraph) -> None:
        """
        Refuse a dataset in which somebody sees what they should not, or does not see what they should.

        :raises DataError: names user, document and the reason
        """
        from coveo_provider.documents.permissions.models import EMAIL_PROVIDER, PermissionIdentity
        from coveo_provider.identities.access import explain_access
        from coveo_provider.identities.access_rules import permissions_of

        cases = [_case(case) for case in _listed(self.expected, "expected")]
        stated = permissions_of(parts, {document for _, _, document, _ in cases}) if cases else {}
        wrong = []
        for user, provider, document, sees in cases:
            if document not in stated:
                wrong.append(f"document {document!r} is not in the dataset")
                continue
            who = None if user is None else PermissionIdentity.user(user, provider or EMAIL_PROVIDER)
            access = explain_access(stated[document], who, graph)
            if access.allowed is not sees:
                name = "somebody not logged in" if user is None else user
                verb = "sees" if access.allowed else "does not see"
                wrong.append(f"{name} {verb} document {document!r}: {access.reason}")
        if wrong:
            raise DataError("; ".join(wrong))


def _listed(value: Any, name: str) -> Sequence[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigurationError(f"{name} must be a list of mappings, not {value!r}")
    return value


def _rule(rule: Mapping[str, Any]) -> tuple[str, Iterable[str]]:
    if not isinstance(rule, Mapping) or not rule.keys() <= {"documents", "only"}:
        raise ConfigurationError(f"a rule is {{'documents': pattern, 'only': groups}}, not {rule!r}")
    only = rule.get("only", ())
    if "only" in rule and not only:  # left out, it allows everybody who is logged in
        raise ConfigurationError(
            f"only of the rule {rule!r} names no group; leave it out if any user may see them"
        )
    return str(rule.get("documents", "*")), only


def _case(case: Mapping[str, Any]) -> tuple[str | None, str | None, str, bool]:
    if not isinstance(case, Mapping) or not {"user", "document", "sees"} <= case.keys():
        raise ConfigurationError(f"expected holds {{'user', 'document', 'sees'}}, not {case!r}")
    return case["user"], case.get("provider"), str(case["document"]), truth(case["sees"], "sees")
