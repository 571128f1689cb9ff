"""A mapping in a file does what the same mapping in Python does, and what editors are told of it is true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import coveo_provider.documents.mapping as _package
from coveo_provider.documents import (
    Constant,
    DocumentMapping,
    PermissionColumns,
    PermissionLevels,
    Split,
    Template,
)
from coveo_provider.documents.extracts.fingerprint import fingerprint
from coveo_provider.errors import MappingError

SCHEMA = json.loads((Path(_package.__file__).parent / "mapping.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

WHOLE = """\
# yaml-language-server: $schema=mapping.schema.json
document_id: product://{sku}
fields:
  ec_name: name
  clickableuri: {template: "https://shop.example/{sku:uri}"}
  objecttype: {constant: Product}
  version: {constant: "1.10"}
  rank: {constant: 1.1}
  ec_category: {split: categories, separator: "|"}
  tags: {split: tags}
  permissions:
    levels:
      File: {denied_users: blocked}
      Folder:
        - &readers {allowed_groups: groups, security_provider: acme, separator: ","}
        - *readers
keep: [color]
drop: size
"""
SAME = DocumentMapping(
    document_id="product://{sku}",
    fields={
        "ec_name": "name",
        "clickableuri": Template("https://shop.example/{sku:uri}"),
        "objecttype": Constant("Product"),
        "version": Constant("1.10"),
        "rank": Constant(1.1),
        "ec_category": Split("categories", "|"),
        "tags": Split("tags"),
        "permissions": PermissionLevels(
            {
                "File": [PermissionColumns(denied_users="blocked")],
                "Folder": [
                    PermissionColumns(allowed_groups="groups", security_provider="acme", separator=",")
                ]
                * 2,
            }
        ),
    },
    keep=("color",),
    drop=("size",),
)


def loaded(tmp_path: Path, text: str, name: str = "mapping.yaml") -> DocumentMapping:
    path = tmp_path / name
    path.write_text(text)
    return DocumentMapping.from_file(path.as_uri())


def test_all_rules(tmp_path: Path) -> None:
    """YAML, JSON and Python say the same: equal documents and one fingerprint, so that nothing is sent anew."""
    as_json = json.dumps(yaml.safe_load(WHOLE))
    VALIDATOR.validate(json.loads(as_json))
    table = pa.table({"sku": ["a-b"], "name": ["A"], "categories": ["x|y"], "tags": ["t"], "size": ["L"]})
    for name, values in {"blocked": ["bob"], "groups": ["HR,IT"], "color": ["red"]}.items():
        table = table.append_column(name, [values])

    for mapping in (loaded(tmp_path, WHOLE), loaded(tmp_path, as_json, "mapping.json")):
        assert mapping == SAME
        assert fingerprint(mapping) == fingerprint(SAME)
        assert mapping.apply(table).equals(SAME.apply(table))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "document_id: a://{x}\nfeilds: {}\n",
            "mapping.yaml, line 2: feilds is unknown. Did you mean fields?",
        ),
        (
            "document_id: a://{x}\nfields:\n  a:\n    tempalte: x\n",
            r"line 4: fields.a.tempalte is unknown. Did you mean template\?",
        ),
        ("document_id: a://{x}\nfields:\n  a: x\n  a: y\n", "line 4: key 'a' stands twice, before in line 3"),
        ("document_id: a://{x}\nfields:\n  a: {constant: 1.10}\n", "line 3: 1.10 would not arrive as it is"),
        ("document_id: a://{x}\nfields:\n  a: {constant: 007}\n", "007 would not arrive"),
        ("document_id: a://{x}\nfields:\n  a: {constant: 12:30}\n", "12:30 would not arrive"),
        ("document_id: a://{x}\nfields:\n  a: {constant: }\n", "line 3: fields.a.constant is null; leave"),
        (
            "document_id: a://{x}\nfields:\n  a: {constant: 1, template: x}\n",
            "line 3: fields.a has the rules template and constant",
        ),
        (
            "document_id: a://{x}\nfields:\n  a: true\n",
            "line 3: fields.a is True, expected the name of a column",
        ),
        ("document_id: a://{x}\nfields:\n  1: x\n", "line 3: key '1' is no text"),
        (
            "document_id: a://{x}\nfields:\n  a: {template: 'x{'}\n",
            "line 3: fields.a template 'x{' cannot be read",
        ),
        ("document_id: a://{x}\nfields:\n  a: {permissions: {}}\n", "no column is named"),
        ("document_id: a://{x}\nfields:\n  a: {levels: {}}\n", "one level at least"),
        (
            "document_id: a://{x}\nfields: !!python/object:os.system {}\n",
            "line 2: tag .*python.* is not known",
        ),
        ("document_id: a://{x}\nfields: &a\n  b: *a\n", "holds more values"),
        ("document_id: a://{x}\n---\nx: y\n", "is no YAML"),
        ("document_id: [\n", "is no YAML"),
        ("fields: {}\n", "document_id is missing"),
        ("- a\n", "expected an object with document_id"),
        ("", "is empty"),
        ("document_id: 7\n", "document_id is 7, expected a text; put it in quotes"),
        ("document_id: a://{x}\nkeep: 3\n", "keep is 3, expected the name of a column"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(MappingError, match=says):
        loaded(tmp_path, text)


def test_yaml_is_that_of_editors(tmp_path: Path) -> None:
    """Version 1.2, as editors check it: no is a text, and so is a date."""
    text = "document_id: a://{x}\nfields:\n  a: {constant: [no, yes, on, 2026-01-31, true, 12, -1.5]}\n"
    assert loaded(tmp_path, text).fields["a"] == Constant(["no", "yes", "on", "2026-01-31", True, 12, -1.5])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"document_id": "a://{x}", "document_id": "b"}', "stands twice"),
        ('{"document_id": "a", "fields": {"a": {"constant": 1.10}}}', "1.10 would not arrive"),
        ('{"document_id": NaN}', "NaN is no JSON"),
        ("{", "is no JSON"),
    ],
)
def test_json_that_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(MappingError, match=says):
        loaded(tmp_path, text, "mapping.json")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="is missing"):
        DocumentMapping.from_file(str(tmp_path / "no.yaml"))
    with pytest.raises(MappingError, match="ObjectStoragePath"):
        DocumentMapping.from_file("s3://bucket/mapping.yaml")
    with pytest.raises(MappingError, match="Is a directory"):
        DocumentMapping.from_file(tmp_path)


_TEXTS = st.sampled_from(["sku", "name", "a b", ""])
_JUNK: st.SearchStrategy[Any] = st.sampled_from([None, 3, True, [], {}, ["x"], ""])
_SETS = st.dictionaries(
    st.sampled_from(
        ["allowed_users", "denied_groups", "allow_anonymous", "separator", "security_provider", "seperator"]
    ),
    _TEXTS | _JUNK,
    max_size=3,
)
_RULES = (
    _TEXTS
    | _JUNK
    | st.fixed_dictionaries({"template": _TEXTS | _JUNK})
    | st.fixed_dictionaries({"constant": _TEXTS | _JUNK})
    | st.fixed_dictionaries({"split": _TEXTS | _JUNK}, optional={"separator": _TEXTS | _JUNK, "sep": _TEXTS})
    | st.fixed_dictionaries({"permissions": _SETS | _JUNK}, optional={"constant": _TEXTS})
    | st.fixed_dictionaries(
        {"levels": st.dictionaries(_TEXTS, _SETS | _JUNK | st.lists(_SETS, max_size=2), max_size=2) | _JUNK}
    )
)
_MAPPINGS = st.fixed_dictionaries(
    {},
    optional={
        "document_id": st.just("a://{sku}") | _TEXTS | _JUNK,
        "fields": st.dictionaries(_TEXTS, _RULES, max_size=2) | _JUNK,
        "keep": _TEXTS | _JUNK | st.lists(_TEXTS | _JUNK, max_size=2),
        "drop": _TEXTS | _JUNK,
        "$schema": _TEXTS | _JUNK,
        "fild": _TEXTS,
    },
)


@given(data=_MAPPINGS)
@settings(max_examples=200, deadline=None)
def test_the_schema_and_the_reader_agree(data: dict[str, Any]) -> None:
    """What an editor calls right loads, and nothing else does."""
    if VALIDATOR.is_valid(data):
        DocumentMapping.from_dict(data)
        return
    with pytest.raises(MappingError):
        DocumentMapping.from_dict(data)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
