"""The end of a load: what was sent is indexed, what is gone is gone, and what was refused has a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, ObjectStoragePath, XComArg

from coveo_provider.documents.contract import counted
from coveo_provider.errors import AccessDenied, ConfigurationError, NotFound, VerificationFailed
from coveo_provider.operators.support.claims import Claim
from coveo_provider.operators.support.ending import EndingOperator
from coveo_provider.operators.support.paths import folder_at, folder_of
from coveo_provider.operators.support.run_reports import keep_report, run_report
from coveo_provider.operators.support.sent_items import sent_items
from coveo_provider.operators.support.states import run_key
from coveo_provider.operators.support.values import number, truth
from coveo_provider.report import Report
from coveo_provider.safety import total

if TYPE_CHECKING:
    from coveo_provider.verification.look import Finding, Look

_STEP = "verifying the load"
_PAUSES = (5.0, 10.0, 20.0, 30.0)
"""
Seconds between two looks, the last of them again and again until it is less than a tenth of the wait so far: the
service writes to its index about once a minute, and a load that takes an hour needs no look every half minute.
"""
_SHARE_OF_WAIT = 0.1


@dataclass(frozen=True)
class Verdict:
    """
    What became of a load, as its report says it.

    :param verified: ``items`` (each was looked at), ``counts`` (as many were indexed as were sent, and a
        sample), or ``nothing``
    :param indexed: items indexed
    :param deleted: items deleted by id
    :param refused: items refused
    :param reasons: why: stage, reason, number, and the ids of some
    :param refused_file: URI of the file that lists all of them
    :param held: items that the source holds; ``None`` when that was not asked, or may not be
    :param unknown: items of which it is not known what became of them
    """

    verified: str = "nothing"
    indexed: int = 0
    deleted: int = 0
    refused: int = 0
    reasons: tuple[dict[str, Any], ...] = ()
    refused_file: str = ""
    held: int | None = None
    unknown: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON types, without what has nothing to say."""
        values = {
            name: value
            for name, value in asdict(self).items()
            if value not in (None, "", ()) and (name, value) != ("unknown", 0)
        }
        if self.reasons:  # Airflow keeps a tuple in an XCom as an object of Python's
            values["reasons"] = [{**reason, "first": list(reason["first"])} for reason in self.reasons]
        return values


class CoveoVerifyOperator(EndingOperator):
    """
    End a load: wait until all it sent is indexed or refused, and all it deleted is gone.

    A success of the API means "accepted". Here the source's log is asked what became of it: by numbers first,
    item by item where these leave a doubt, and a sample of documents in any case; and the platform, how many
    items the source holds, where the load was all of its content. The task waits on the triggerer, for the
    service's delay before a deletion as well. It is green when nothing is missing and no more than
    ``max_rejected`` was refused; all refused items stand with their reasons in a Parquet file beside the
    dataset. When it succeeds, the asset of the source gets its event
    (:func:`~coveo_provider.assets.coveo_asset`).

    :param source_id: the source (templated)
    :param reports: the reports of all tasks that sent: ``push.output`` (templated)
    :param whole: whether the load was all of the source's content, so that it holds these items and no others
        (templated)
    :param verify: ``"auto"`` verifies where the key may read the source's log, and says so where it may not;
        ``True`` fails there; ``False`` does not look (templated)
    :param max_rejected: how many items may be refused: a share below 1, or a number (templated)
    :param sample: how many documents are followed one by one
    :param timeout: the longest wait, in seconds, besides ``queue_delay``
    :param queue_delay: minutes that the service waits before the load's deletions (templated)
    :param parts: all parts of the load, each of which needs a report: ``check.output`` (templated)
    :param exclusive: whether to stop when another run began to load the source since this one did
    :param coveo_conn_id: connection to the organization that owns the source; the key needs
        Sources (View), for the log as for the number of items (templated)
    :return: a report: the sums of the reports, with ``verified`` (``items``, ``counts`` or ``nothing``),
        ``indexed``, ``refused``, ``reasons`` and ``refused_file``. The report of the whole run, with plan,
        approvals and what the source held before and after, stands in XCom as ``coveo_report`` and beside the
        dataset, in the file that ``report`` names (``docs/plans.md``); also when verification failed
    :raises VerificationFailed: something is missing after the wait, or too much was refused
    """

    documentation = "https://docs.coveo.com/en/1893/"
    template_fields: Sequence[str] = (
        *("source_id", "reports", "parts", "whole", "verify", "max_rejected", "queue_delay", "coveo_conn_id"),
    )
    verifies = True
    reports_run = True

    def __init__(
        self,
        *,
        source_id: str,
        reports: Any,
        whole: bool | str | XComArg = False,
        verify: bool | str = "auto",
        max_rejected: float | str = 0,
        sample: int = 5,
        timeout: float = 3_600.0,
        queue_delay: int | str = 15,
        parts: Any = None,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(deferrable=deferrable, **kwargs)
        self.source_id = source_id
        self.reports = reports
        self.whole: Any = whole
        self.verify: Any = verify
        self.max_rejected = max_rejected
        self.sample = sample
        self.timeout = timeout
        self.queue_delay = queue_delay
        self.parts: Any = parts
        self._found_wanting = Verdict()

    def act(self, context: Context) -> dict[str, Any]:
        """Wait and look, then end the load."""
        claim = self.claim(context)
        claim.join(_STEP)
        reports = self.load_reports(context, claim, _STEP)
        summed = total(reports)
        try:
            verdict = self.verdict(context, claim, reports)
        except VerificationFailed as error:
            self._report(context, reports, summed, self._found_wanting, failure=str(error))
            raise
        self.remember(context, summed, verdict)
        told: dict[str, Any] = {} if summed.mark is None else {"ordering_id": summed.mark}
        if place := self._report(context, reports, summed, verdict):
            told["report"] = place
        report = {**summed.as_json(), **told, **verdict.as_json()}
        self.end_load(context, claim, report)
        return report

    def _report(
        self,
        context: Context,
        reports: Sequence[Report],
        sent: Report,
        verdict: Verdict,
        *,
        failure: str = "",
    ) -> str:
        """Leave the report of the run, and return the URI of its file; empty where there is none."""
        try:
            folder = self.dataset_folder(reports)
            report = run_report(self, context, sent, verdict.as_json(), dataset=folder, failure=failure)
            return keep_report(self, context, report, folder)
        except Exception as error:  # noqa: BLE001  what was done is done: the task does not fail for its report
            self.log.warning("There is no report of the run: %s: %s", type(error).__name__, error)
            return ""

    def remember(self, context: Context, sent: Report, verdict: Verdict) -> None:
        """Keep what the source holds now; nothing here."""

    def items_wanted(self, reports: Sequence[Report], refused: int) -> tuple[int, int] | None:
        """Return how many items the source has to hold, at least and at most, where the load says that."""
        if not truth(self.whole, "whole"):
            return None
        held = total(reports).documents - refused
        return held, held

    def verdict(self, context: Context, claim: Claim, reports: Sequence[Report]) -> Verdict:
        """
        Wait and look what became of a load.

        :raises VerificationFailed: something is missing, or too much was refused
        """
        mode = self._mode()
        if mode is False:
            self.log.warning(
                "Nothing of the load of source %s was verified, as verify=False says", self.source_id
            )
            return Verdict()
        since = _since(reports)
        if since is None:  # it sent nothing
            return Verdict(verified="items")
        from coveo_provider.verification.look import Look, Sent

        with sent_items(reports) as sent:
            try:
                look = Look(
                    self.client,
                    Sent(self.source_id, *since, sent.documents, sent.changes, sent.deletions),
                    seed=claim.load,
                    sample=self.sample,
                )
                return self._awaited(context, reports, look)
            except (AccessDenied, NotFound) as error:
                if mode is True:
                    raise
                self.log.warning(
                    "Nothing of the load of source %s was verified: %s. Give the key that privilege, or set "
                    "verify=False "
                    "to be told no more",
                    self.source_id,
                    error,
                )
                return Verdict()

    def _mode(self) -> bool | str:
        if isinstance(self.verify, str) and self.verify.strip().lower() == "auto":
            return "auto"
        try:
            return truth(self.verify, "verify")
        except ConfigurationError:
            raise ConfigurationError(f'verify must be "auto", true or false, not {self.verify!r}') from None

    def _awaited(self, context: Context, reports: Sequence[Report], look: Look) -> Verdict:
        """Look until the load is settled, on the triggerer in between; then judge what was refused."""
        done = self.checkpoint
        longest = self.timeout + 60 * number(self.queue_delay, int, "queue_delay", default=15)
        while True:
            last = done.looked_seconds >= longest
            finding, by_items = self._found(look, reports, thorough=last)
            if finding.settled or last:
                return self._judged(context, reports, look, finding, by_items, done.looked_seconds)
            pause = max(_PAUSES[min(done.looks, len(_PAUSES) - 1)], _SHARE_OF_WAIT * done.looked_seconds)
            pause = min(pause, longest - done.looked_seconds)
            done = replace(done, looks=done.looks + 1, looked_seconds=done.looked_seconds + pause)
            self.log.info("%s; looking again in %.0f s", _said(finding, self.source_id), pause)
            if self.deferrable:
                self._defer(pause, done)
            self.client.policy.sleep(pause)

    def _found(self, look: Look, reports: Sequence[Report], *, thorough: bool) -> tuple[Finding, bool]:
        """Return what a look found, and whether that was at each item."""
        finding = None if thorough else look.by_counts()
        by_items = finding is None
        finding = finding or look.by_items()
        if finding.unknown and not thorough:
            return finding, by_items
        wanted = self.items_wanted(reports, finding.refused)
        return finding.counted_against(wanted, self._held() if wanted is not None else None), by_items

    def _held(self) -> int | None:
        """Return how many items the source holds; ``None`` when the key may not ask."""
        try:
            return self.client.get_source(self.source_id).document_count
        except (AccessDenied, NotFound) as error:
            self.log.warning("How many items source %s holds was not verified: %s", self.source_id, error)
            return None

    def _judged(
        self,
        context: Context,
        reports: Sequence[Report],
        look: Look,
        finding: Finding,
        by_items: bool,
        waited: float,
    ) -> Verdict:
        place = self._refused_file(context, reports, look) if finding.refused else ""
        verdict = Verdict(
            verified="items" if by_items else "counts",
            indexed=finding.indexed,
            deleted=finding.deleted,
            refused=finding.refused,
            reasons=tuple(asdict(reason) for reason in finding.reasons),
            refused_file=place,
            held=finding.held,
            unknown=finding.unknown,
        )
        said = _said(finding, self.source_id)
        problems = []
        if not self._is_bearable(finding.refused, len(look)):
            problems.append(f"more items were refused than max_rejected={self.max_rejected} allows")
        if finding.unknown:
            problems.append(
                f"{counted(finding.unknown, 'item')} neither indexed nor refused after {waited:,.0f} s"
            )
        if not finding.counted:
            problems.append("the source does not hold what it has to")
        if problems:
            self._found_wanting = verdict
            listed = f" All that were refused: {place}." if place else ""
            raise VerificationFailed(
                f"source {self.source_id}: {' and '.join(problems)}. {said}.{listed} What was indexed stays. "
                "Mend what was "
                "refused and load again, or allow it with max_rejected"
            )
        level = self.log.warning if finding.refused else self.log.info
        level("%s%s", said, f"; all that were refused: {place}" if place else "")
        return verdict

    def _is_bearable(self, refused: int, sent: int) -> bool:
        most = number(self.max_rejected, float, "max_rejected", default=0)
        if isinstance(most, bool) or not isinstance(most, (int, float)) or most < 0:
            raise ConfigurationError(
                f"max_rejected must be a share below 1 or a number of items, not {most!r}"
            )
        return refused <= (most * sent if most < 1 else most)

    def _refused_file(self, context: Context, reports: Sequence[Report], look: Look) -> str:
        """Write what was refused beside the dataset, and return the file's URI; empty when there is no dataset."""
        folder = self.dataset_folder(reports)
        if folder is None:
            return ""
        path: Any = folder / f"_refused-{run_key(context)}.parquet"
        from coveo_provider.verification.refused_items import write_refused

        try:
            with path.open("wb") as file:
                write_refused(look.refusals(), file)
        except OSError as error:
            self.log.warning("What was refused could not be written to %s: %s", path, error)
            return ""
        return str(path)

    def dataset_folder(self, reports: Sequence[Report]) -> ObjectStoragePath | None:
        """Return the folder of the dataset that was sent."""
        part = next((part for report in reports for part in report.parts), None)
        return None if part is None else folder_at(folder_of(part))


def _since(reports: Sequence[Report]) -> tuple[int, bool] | None:
    """Return from when on to read the log, and whether the service told that; ``None`` when nothing was sent."""
    marks = [report.mark for report in reports if report.mark is not None]
    if not marks:
        return None
    doubtful = [moment for report in reports if (moment := report.clocks) is not None and not moment.agrees]
    return min([*marks, *(moment.earliest for moment in doubtful)]), not doubtful


def _said(finding: Finding, source_id: str) -> str:
    """Return what a look found, in words."""
    words = [f"{counted(finding.indexed, 'item')} indexed"]
    if finding.deleted:
        words.append(f"{finding.deleted:,} deleted")
    if finding.refused:
        why = "; ".join(
            f"{one.count:,} at {one.stage}: {one.reason}, such as {', '.join(one.first)}"
            for one in finding.reasons[:3]
        )
        words.append(f"{finding.refused:,} refused ({why})")
    if finding.unknown:
        such = f", such as {', '.join(finding.first_unknown)}" if finding.first_unknown else ""
        words.append(f"{finding.unknown:,} not in the log yet{such}")
    if finding.held is not None and finding.wanted is not None:
        fewest, most = finding.wanted
        expected = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
        words.append(f"{counted(finding.held, 'item')} held, {expected} expected")
    return f"Source {source_id}: {', '.join(words)}"
