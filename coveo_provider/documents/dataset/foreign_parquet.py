"""What Parquet of other programs needs: moments of 96 bits, the index of pandas, and why a file is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from coveo_provider.errors import DatasetError

_INDEX = re.compile(r"__index_level_\d+__")
_NANOSECONDS = 2**63 // 1_000 + 1  # microseconds that can be counted in nanoseconds, before and after 1970
_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"
_ROWS = 10_000


def open_parquet(file: IO[bytes], name: str, **options: Any) -> pq.ParquetFile:
    """
    Open a file so that what is read is what was written.

    Pages are held against their checksums. Moments of 96 bits, as older Spark, Hive and Impala write them, are read
    in microseconds, which reach from the year 1 to 9999; in nanoseconds where they have such.

    :param name: its URI, for errors
    :raises DatasetError: neither unit holds all of its moments
    """

    def opened(unit: str) -> pq.ParquetFile:
        return pq.ParquetFile(
            file, page_checksum_verification=True, coerce_int96_timestamp_unit=unit, **options
        )

    micros = opened("us")
    columns = _columns_of_96_bits(micros)
    if not columns:
        return micros
    nanos = opened("ns")
    finer, farther = _finer_and_farther(micros, nanos, columns)
    if finer and farther:
        raise DatasetError(
            f"{name}: column {finer!r} holds nanoseconds, and column {farther!r} moments before 1677 or after "
            "2262, as INT96; no unit holds both. Write them as TIMESTAMP, each in its own unit"
        )
    return nanos if finer else micros


def _columns_of_96_bits(parquet: pq.ParquetFile) -> list[str]:
    """Return the columns that hold such moments, or may do so."""
    leaves = [parquet.schema.column(position) for position in range(len(parquet.schema))]
    paths = [leaf.path for leaf in leaves if leaf.physical_type == "INT96"]
    return [
        name
        for name in parquet.schema_arrow.names
        if any(path == name or path.startswith(f"{name}.") for path in paths)
    ]


def _finer_and_farther(micros: pq.ParquetFile, nanos: pq.ParquetFile, columns: list[str]) -> tuple[str, str]:
    """Return a column with moments finer than microseconds, and one too far for nanoseconds, or ``""``."""
    finer = farther = ""
    batches = zip(
        *(one.iter_batches(_ROWS, columns=columns, use_threads=False) for one in (micros, nanos)), strict=True
    )
    for coarse, fine in batches:
        for name, one, other in zip(coarse.schema.names, coarse.columns, fine.columns, strict=True):
            for us, ns in zip(_moments(one), _moments(other), strict=True):
                if us.type == ns.type:
                    continue
                # Too far, nanoseconds turn over like a mileage counter, but what they have in addition stays true.
                counted = us.cast(pa.int64())
                precisely = ns.cast(pa.int64())
                if not precisely.equals(pc.multiply(counted, 1_000)):
                    finer = name
                turned = pc.not_equal(pc.less(precisely, 0), pc.less(counted, 0))
                if pc.any(pc.or_(turned, pc.greater(pc.abs(counted), _NANOSECONDS))).as_py():
                    farther = name
    return finer, farther


def _moments(array: pa.Array) -> Iterator[pa.Array]:
    """Return all moments in an array of any nesting."""
    if pt.is_timestamp(array.type):
        yield array.drop_null()
    elif pt.is_map(array.type):
        yield from _moments(array.keys)
        yield from _moments(array.items)
    elif pt.is_nested(array.type):
        inner = array.flatten()
        for each in inner if isinstance(inner, list) else [inner]:
            yield from _moments(each)


def nameless_index(schema: pa.Schema) -> list[str]:
    """
    Return the columns that are the index of a DataFrame which had no name, as the file's own metadata say.

    pandas writes them after any filter or concat. An index that was given a name is data, and stays.
    """
    try:
        columns = json.loads((schema.metadata or {})[b"pandas"])["index_columns"]
    except (KeyError, TypeError, ValueError):
        return []
    if not isinstance(columns, list):
        return []
    return [
        name for name in columns if isinstance(name, str) and _INDEX.fullmatch(name) and name in schema.names
    ]


def why_not_parquet(file: IO[bytes], error: Exception) -> str:
    """Return what to say of a file that cannot be opened, and what to do about it."""
    try:
        file.seek(0)
        begin = file.read(8)
        size = file.seek(0, 2)
        file.seek(max(size - 4, 0))
        end = file.read(4)
    except (OSError, ValueError):
        begin = end = b""
        size = -1
    kinds = {
        b"\x1f\x8b": "gzip",
        b"ORC": "ORC",
        b"Obj\x01": "Avro",
        b"PK\x03\x04": "a zip",
        b"ARROW1": "Arrow",
    }
    kind = next((f"{kind}, and " for magic, kind in kinds.items() if begin.startswith(magic)), "")
    if size == 0:
        why = "it has no bytes. Did the extract fail?"
    elif _ENCRYPTED in {begin[:4], end}:
        why = "it is encrypted, and no keys can be given. Write it without encryption"
    elif begin[:4] == _MAGIC != end:
        why = "it is cut off, as its end is missing. Copy or write it again"
    elif begin[:4] != _MAGIC:
        why = f"it is {kind}begins with {begin!r}. CoveoTransformOperator reads CSV, NDJSON and JSON"
        why = why if kind else why.replace("it is ", "it ")
    else:
        why = f"{error}"
    return f"is not a Parquet file that can be read: {why}"


def why_damaged(error: Exception) -> str:
    """Return what is wrong with a file that was opened, and what to do about it."""
    if "CRC" in str(error) or "checksum" in str(error).lower():
        return f"is damaged: a page is not what its own checksum says ({error}). Copy or write it again"
    return f"is damaged: {error}"
