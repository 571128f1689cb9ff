"""
Whole recipes, ready to put into a DAG: the operators with their guards, marks, setup and teardown wired right.

Each function makes a task group and returns it::

    @dag(schedule="@daily")
    def catalog():
        transform = CoveoTransformOperator(task_id="transform", source=…, output=…, mapping=…)
        catalog_refresh(source_id="mycatalog", documents=transform.output, state="s3://…/state")

==================  ==========  ====================================================================
group               source      choose it when
==================  ==========  ====================================================================
`catalog_load`      Catalog     all of it may be applied at once, at the end (below 1,000,000 items)
`catalog_refresh`   Catalog     it is larger, or only what changed shall be sent
`push_rebuild`      Push        everything is pushed again, and what is gone is deleted
`incremental_push`  Push        only what changed shall be pushed
`secured_push`      Push        as ``push_rebuild``, with the identities that permissions name
==================  ==========  ====================================================================

Arguments that mean the same in each group:

* ``source_id``: the source (templated)
* ``documents``: the URI of the documents dataset, or what :class:`~coveo_provider.operators.CoveoTransformOperator`
  returns (templated); with ``state`` it must be a dataset that this operator wrote
* ``state``: URI of a folder that outlives runs, one for each source, for what the index holds. With it only what
  changed since the last successful run is sent, and what is gone is deleted by its id; the first run sends
  everything. A transform whose output is given as ``documents`` keeps the types of columns of CSV in it (templated)
* ``full``: with ``state``, whether to send everything this time (templated)
* ``queue_delay``: minutes the service waits before it deletes what was not renewed (templated)
* ``min_documents``: the fewest documents the dataset may have; 0 allows to empty the source (templated)
* ``max_shrink``: share of the items that may go, between 0 and 1; ``None`` does not look (templated)
* ``on_doubt``: what to do when ``min_documents`` or ``max_shrink`` find a load doubtful: ``"fail"``, or ``"ask"`` a
  person in Airflow's Required Actions, with the numbers, and go on or stop as answered
* ``answer_within``: how long an answer is waited for, 1 day by default; without one the task stops. An open stream
  waits 45 minutes at most
* ``fields``: what to do with metadata that has no field, and with values that do not fit their field, before
  anything is sent: ``"warn"``, ``"fail"``, ``"create"`` the fields that are missing, or ``"off"``: not to ask
* ``ensure``: whether a task makes sure, before anything is sent, that the source may be loaded and has a field for
  all metadata; or further arguments of :class:`~coveo_provider.operators.CoveoEnsureSourceOperator`. It goes in
  place of ``fields``. To create a source, put that operator before the group, and give the group
  ``source_id=ensure.output["source_id"]``
* ``plan``: with ``state``, whether a task first tells what the load would change: new, changed and gone documents,
  fields, access and effort; or further arguments of :class:`~coveo_provider.operators.CoveoPlanOperator`
* ``plan_only``: whether the run ends after the plan, green, with nothing sent (templated)
* ``approve``: ``"always"`` lets the plan wait for a yes in Airflow's Required Actions (templated)
* ``max_changed``: share of the documents of the last load that may change, between 0 and 1 (templated)
* ``max_new_public``: how many documents may become visible to everybody (templated)
* ``verify``: ``"auto"`` verifies where the key may read the source's log, and says so where it may not; ``True``
  fails there; ``False`` does not look (templated)
* ``max_rejected``: how many items may be refused: a share below 1, or a number (templated)
* ``retry_rejected``: with ``state``, whether to send again at once what was refused before (templated)
* ``content_owner``: what decides what the source holds, for two DAGs that load the same content; by default the
  group's DAG and name, or its ``state`` (templated)
* ``outlets``: ``[coveo_asset(…)]``, the asset of the source: Airflow's page of it then shows the group's last task
  as its producer (:mod:`coveo_provider.assets`)
* ``coveo_conn_id``: connection to the organization that owns the source (templated)
* ``group_id``: the name of the group
* ``default_args``: what all its tasks take: ``{"pool": "coveo", "retries": 3}``

While a run is in a group, another run that begins a load of the same source gets ``SourceBusy`` from the first
task that would touch it. ``default_args={"exclusive": False}`` lets both go on.
"""

from coveo_provider.task_groups.catalog import catalog_load, catalog_refresh
from coveo_provider.task_groups.push import incremental_push, push_rebuild
from coveo_provider.task_groups.secured import secured_push

__all__ = ["catalog_load", "catalog_refresh", "incremental_push", "push_rebuild", "secured_push"]
