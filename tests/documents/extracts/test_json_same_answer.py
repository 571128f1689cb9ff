"""One record gets one answer: in lines or in an array, whatever stands beside it, as an independent reader does."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.extracts import json_stream
from coveo_provider.errors import DatasetError
from tests.documents.files import rows

_TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.text(st.sampled_from('":,[]{}\\ 1e.'), max_size=8),
    st.sampled_from([": 12345678901234567890", ", 1.23456789012345678 ", '":', " :", "\u2028", "\x00"]),
)
_NUMBERS = st.one_of(
    st.integers(-(10**40), 10**40).map(str),
    st.integers(-99, 99).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=12).map(lambda number: format(number, "f")),
    st.from_regex(r"\A-?(0|[1-9][0-9]{0,21})(\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?\Z"),
)
_SPACES = st.sampled_from(["", "", " ", "\t", "  "])


@st.composite
def _json(draw: Any, depth: int = 2) -> str:
    """Return JSON as anybody may write it: spaces, escapes, keys that may stand twice, numbers of any length."""
    kind = draw(st.sampled_from(["text", "number", "word", *(["list", "object"] if depth else [])]))
    if kind == "text":
        return _written(draw)
    if kind == "number":
        return str(draw(_NUMBERS))
    if kind == "word":
        return str(draw(st.sampled_from(["null", "true", "false"])))
    if kind == "list":
        return f"[{','.join(draw(st.lists(_json(depth - 1), max_size=3)))}]"
    return str(draw(_objects(depth - 1)))


def _written(draw: Any) -> str:
    return json.dumps(draw(_TEXTS), ensure_ascii=bool(draw(st.booleans())))


@st.composite
def _objects(draw: Any, depth: int = 2) -> str:
    members = []
    for _ in range(draw(st.integers(0, 3))):
        key = draw(st.sampled_from(['"a"', '"b"', '"c"', '"\\u0061"', '"d:"']))
        members.append(f"{key}{draw(_SPACES)}:{draw(_SPACES)}{draw(_json(depth))}")
    return str("{" + f",{draw(_SPACES)}".join(members) + draw(_SPACES) + "}")


class _Twice(ValueError):
    pass


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise _Twice
    return dict(pairs)


def _independent(text: str) -> Any:
    """Return what Python reads, with every digit."""
    return json.loads(text, parse_float=Decimal, object_pairs_hook=_pairs)


def _plain(value: Any) -> Any:
    """Return a value with its numbers as decimals, as they would be written."""
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Decimal(repr(value))
    return value


def _answer(name: str, data: bytes, **options: Any) -> tuple[str, Any]:
    try:
        return "rows", _plain(rows((name, data), **options))
    except DatasetError as error:
        return "refused", str(error).replace("line", "record").split("record ", 1)[-1].split(" ", 1)[-1]


@given(
    texts=st.lists(_objects(), min_size=1, max_size=6),
    batch_rows=st.integers(1, 4),
    block=st.integers(1, 40),
    around=st.booleans(),
)
@settings(deadline=None)
def test_a_record_is_what_an_independent_reader_finds(
    texts: list[str], batch_rows: int, block: int, around: bool
) -> None:
    """Number by number and key by key, wherever blocks and batches end; or both forms are refused alike."""
    array = f"[{', '.join(texts)}]".encode()
    options: dict[str, Any] = {"batch_rows": batch_rows}
    if around:
        array = b'{"x": [{"y": [1]}], "data": {"z": {}, "r": ' + array + b'}, "w": "]}"}'
    with mock.patch.object(json_stream, "READ_BYTES", block):
        lines = _answer("a.ndjson", "\r\n\n".join(texts).encode(), **options)
        packed = _answer("a.json.gz", gzip.compress(array), **options, records="data.r" if around else None)
    assert lines == packed
    try:
        expected = [_independent(text) for text in texts]
    except _Twice:
        assert lines[0] == "refused"
        return
    if lines[0] == "refused":
        assert "of which neither a float nor 76 digits keep all" in lines[1]
        return
    keys = {key for record in expected for key in record}
    assert lines[1] == [{key: record.get(key) for key in keys} for record in expected]


_OF_ONE_RECORD = [
    ('{"a": 12345678901234567890.5}', {"a": Decimal("12345678901234567890.5")}),
    ('{"a": 0.12345678901234567890}', {"a": Decimal("0.12345678901234567890")}),
    ('{"a": [0.1234567890123456789]}', {"a": [Decimal("0.1234567890123456789")]}),
    ('{"a": {"b": 9007199254740993.0}}', {"a": {"b": Decimal("9007199254740993.0")}}),
    ('{"a": 9007199254740993e0}', {"a": 9007199254740993}),
    ('{"a": 18446744073709551615}', {"a": 2**64 - 1}),
    ('{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
    ('{"a": 1.50}', {"a": 1.5}),
    ('{"a": 1E5}', {"a": 100000}),
    ('{"a": 1.7976931348623157e308}', {"a": 1.7976931348623157e308}),
    ('{"a": 5e-324}', {"a": 5e-324}),
    ('{"a": "\\u0000"}', {"a": "\0"}),
    ('{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
    ('{"a": {}}', {"a": {}}),
    ('{"": 1}', {"": 1}),
    ("{}", {}),
    (
        '{"a": 1e400}',
        "holds the number 1e400, of which neither a float nor 76 digits keep all; write it as a text",
    ),
    ('{"a": 1e-400}', "holds the number 1e-400"),
    ('{"a": 1.5e99999999999999999999}', "holds the number 1.5e999"),
    ('{"a": [{"b": 1e400}]}', "holds the number 1e400"),
    ('{"price": 10, "x": 1, "price": 99}', "has the key 'price' twice in one object"),
    ('{"a": 1, "\\u0061": 2}', "has the key 'a' twice"),
    ('{"a": {"b": [{"c": 1, "c": 1}]}}', "has the key 'c' twice"),
    ('{"a": ":", "a": "b"}', "has the key 'a' twice"),
    ('{"a": "\\ud800"}', "holds half a character (\\ud800)"),
    ('{"a": "\\udc00\\ud800"}', "holds half a character (\\udc00)"),
    ('{"a\\ud800": 1}', "holds half a character (\\ud800)"),
    ('{"a": NaN}', "holds NaN, which is no JSON; write null"),
    ('{"a": 12345678901234567890, "b": NaN}', "holds NaN"),
    ('{"a": -Infinity}', "holds -Infinity"),
    ('{"a": nan}', "is not JSON"),
    ('{"a": 01}', "is not JSON"),
    ('{"a": 1,}', "is not JSON"),
    ("{'a': 1}", "is not JSON"),
    ('{"a": "\t"}', "is not JSON"),
    ('{"a" 1}', "is not JSON"),
    ('{"a": ' + "[" * 500 + "]" * 500 + "}", "is nested more than 500 deep"),
]


@pytest.mark.parametrize(("text", "expected"), _OF_ONE_RECORD, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("beside", [None, '{"z": 1}', '{"z": 12345678901234567890123, "y": " : {"}'])
def test_a_record_has_one_answer(text: str, expected: Any, beside: str | None) -> None:
    """Alone, and beside a record that is read quickly or slowly."""
    texts = [text] if beside is None else [beside, text, beside]
    position = len(texts) // 2
    for name, data in (("a.ndjson", "\n".join(texts)), ("a.json", f"[{','.join(texts)}]")):
        if isinstance(expected, str):
            place = f"line {position + 1}" if name == "a.ndjson" else f"record {position}"
            with pytest.raises(DatasetError) as refused:
                rows((name, data.encode()))
            assert str(refused.value).startswith(f"{name}: {place} {expected}")
        else:
            found = rows((name, data.encode()))[position]
            assert {key: found[key] for key in found if key not in "zy" or not key} == expected


@pytest.mark.parametrize("name", ["a.ndjson", "a.json"])
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ('[{"a": 1}]'.encode("utf-16"), "is UTF-16 or UTF-32, and JSON is written in UTF-8"),
        ('[{"a": 1}]'.encode("utf-16-le"), "is UTF-16 or UTF-32"),
        ('[{"a": 1}]'.encode("utf-32"), "is UTF-16 or UTF-32"),
    ],
)
def test_another_encoding_is_named(name: str, data: bytes, problem: str) -> None:
    """With what converts it."""
    with pytest.raises(DatasetError, match=problem):
        rows((name, data))


@pytest.mark.parametrize("name", ["a.ndjson", "a.json"])
def test_latin_1_is_named(name: str) -> None:
    """By the line or record, and the byte."""
    record = b'{"a": "caf\xe9"}'
    with pytest.raises(DatasetError, match=r"(line 1|record 0) is not UTF-8.*0xe9.*iconv"):
        rows((name, record if name == "a.ndjson" else b"[" + record + b"]"))


@pytest.mark.parametrize(
    ("data", "path", "problem"),
    [
        (b'[{"a": 1},]', None, "record 1 is not JSON"),
        (b'[{"a": 1},,{"a": 1}]', None, "record 1 is not JSON"),
        (b"[,]", None, "record 0 is not JSON"),
        (b'[{"a": 1} {"a": 2}]', None, "record 0 is not JSON"),
        (b'[{"a": 1]]', None, "record 0 is not JSON"),
        (b'[{"a": 1}}', None, r"from record 0 on: \[ is ended by }"),
        (b'[{"a": 1}] x', None, "something follows its end"),
        (b'[{"a": 1}]\\', None, "something follows its end"),
        (b"\\", None, "record 0"),
        (b'[{"a": 1}][', None, "something follows its end"),
        (b'[{"a": 1}', None, "it is cut off"),
        (b"", None, "it is empty"),
        (b"  ", None, "record 0"),
        (b"null", None, "record 0"),
        (b"]", None, "record 0"),
        (b'{"d": [{"a": 1}]', "d", "it is cut off"),
        (b'{"d": [{"a": 1}], "x": nope}', "d", "from record 1 on: .*nope"),
        (b'{"d": [{"a": 1}],}', "d", "nothing stands before a comma or after it"),
        (b'{,"d": [{"a": 1}]}', "d", "nothing stands before a comma"),
        (b'{"d": [{"a": 1}] 5}', "d", "is unexpected"),
        (b'{"d" [{"a": 1}]}', "d", "is unexpected"),
        (b'{"d": 1[{"a": 1}]}', "d", "is unexpected"),
        (b'{"d": [{"a": 1}], "d": [{"a": 2}]}', "d", "twice"),
        (b'{"d": {"a": 1}}', "d", "no array stands at 'd'"),
        (b'{"d": null}', "d", "no array stands at 'd'"),
    ],
)
def test_what_stands_around_records_is_read_too(data: bytes, path: str | None, problem: str) -> None:
    """A file that is no JSON is refused, wherever it is none."""
    for block in (1, 1 << 20):
        with mock.patch.object(json_stream, "READ_BYTES", block), pytest.raises(DatasetError, match=problem):
            rows(("a.json", data), records=path)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b'{"a.b": [{"n": 1}]}', "a.b"),
        (b'{"pages": [{"items": [{"n": 1}]}, {"items": []}]}', "pages.item.items"),
        (b'{"d": 5, "x": {"d": [2]}, "a": [{"d": [3]}], "d2": "]", "d": [{"n": 1}]}', "d"),
    ],
)
def test_a_path_leads_to_the_array(data: bytes, path: str) -> None:
    """Through objects and arrays, past whatever stands beside it."""
    assert rows(("a.json", data), records=path) == [{"n": 1}]


_EDITS = st.lists(st.tuples(st.integers(0, 80), st.sampled_from([*'[]{}",:\\ 01aue\n', ""])), max_size=3)


@given(edits=_EDITS, around=st.booleans(), block=st.integers(1, 20))
@settings(deadline=None)
def test_a_file_is_read_where_an_independent_reader_takes_it(
    edits: list[tuple[int, str]], around: bool, block: int
) -> None:
    """And refused where that one does, after any small damage."""
    text = '[{"a": [{"c": "x\\"]"}, 2]}, {"a": {"k": "}{\\\\"}}, {}]'
    text = f'{{"x": "]}}", "d": {{"q": [{{"r": 2}}], "r": {text}, "z": 0}}}}' if around else text
    for place, put in edits:
        text = text[:place] + put + text[place + 1 :]
    try:
        found = _independent(text)
        expected = found["d"]["r"] if around else found
        fits = isinstance(expected, list) and all(isinstance(record, dict) for record in expected)
    except (ValueError, KeyError, TypeError):
        fits = False
    with mock.patch.object(json_stream, "READ_BYTES", block):
        answer = _answer("a.json", text.encode(), records="d.r" if around else None)
    assert (answer[0] == "rows") == fits, text
    if fits:
        keys = {key for record in expected for key in record}
        assert answer[1] == [{key: record.get(key) for key in keys} for record in expected]
