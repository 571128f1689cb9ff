"""
Fields of an organization, as code: what a dataset needs, what there is, and what the service would drop.

Knows neither Airflow nor HTTP. :class:`FieldSpec`, which DAG files name, loads no data library.
"""

from coveo_provider.fields.specs import FieldSpec

__all__ = ["FieldSpec"]
