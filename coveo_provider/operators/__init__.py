"""
The operators, which users import from here: one task each. The modules inside are named for what they serve.

Importing this package costs no more than Airflow itself: the data libraries are loaded by a running task.
"""

from coveo_provider.operators.access import CoveoCheckAccessOperator
from coveo_provider.operators.dataset import CoveoCheckDatasetOperator
from coveo_provider.operators.diff import CoveoDiffOperator
from coveo_provider.operators.directories import CoveoTransformIdentitiesOperator
from coveo_provider.operators.ensure import CoveoEnsureSourceOperator
from coveo_provider.operators.expansion import (
    CoveoDeleteOlderIdentitiesOperator,
    CoveoSecurityExpansionOperator,
)
from coveo_provider.operators.files import CoveoListFilesOperator
from coveo_provider.operators.finalize import CoveoFinalizeOperator
from coveo_provider.operators.identity import CoveoPushIdentityOperator
from coveo_provider.operators.item import CoveoDeleteItemOperator, CoveoPushItemOperator
from coveo_provider.operators.plan import CoveoPlanOperator
from coveo_provider.operators.provider import CoveoSecurityProviderOperator
from coveo_provider.operators.push import CoveoPushBatchOperator
from coveo_provider.operators.roll_back import CoveoChooseLoadOperator
from coveo_provider.operators.source import CoveoDeleteOlderOperator, CoveoSetSourceStatusOperator
from coveo_provider.operators.stream import (
    CoveoCloseStreamOperator,
    CoveoOpenStreamOperator,
    CoveoUploadChunkOperator,
)
from coveo_provider.operators.transform import CoveoTransformOperator
from coveo_provider.operators.update import CoveoMergeStreamOperator, CoveoUpdateStreamOperator
from coveo_provider.operators.upkeep import CoveoEndStaleLoadsOperator
from coveo_provider.operators.verify import CoveoVerifyOperator

__all__ = [
    "CoveoCheckAccessOperator",
    "CoveoCheckDatasetOperator",
    "CoveoChooseLoadOperator",
    "CoveoCloseStreamOperator",
    "CoveoDeleteItemOperator",
    "CoveoDeleteOlderIdentitiesOperator",
    "CoveoDeleteOlderOperator",
    "CoveoDiffOperator",
    "CoveoEndStaleLoadsOperator",
    "CoveoEnsureSourceOperator",
    "CoveoFinalizeOperator",
    "CoveoListFilesOperator",
    "CoveoMergeStreamOperator",
    "CoveoOpenStreamOperator",
    "CoveoPlanOperator",
    "CoveoPushBatchOperator",
    "CoveoPushIdentityOperator",
    "CoveoPushItemOperator",
    "CoveoSecurityExpansionOperator",
    "CoveoSecurityProviderOperator",
    "CoveoSetSourceStatusOperator",
    "CoveoTransformIdentitiesOperator",
    "CoveoTransformOperator",
    "CoveoUpdateStreamOperator",
    "CoveoUploadChunkOperator",
    "CoveoVerifyOperator",
]
