"""
Distinguished names, compared as a directory does (RFC 4514, RFC 4518): case, blanks and escapes do not matter.

Imports nothing heavy.
"""

from __future__ import annotations

import re
from functools import lru_cache

_HEX = re.compile(r"[0-9a-fA-F]{2}")
_ATTRIBUTE = re.compile(r"[A-Za-z][\w;-]*|(?:OID\.)?\d+(?:\.\d+)*", re.IGNORECASE)
_KEPT = 65_536


@lru_cache(_KEPT)
def canonical_dn(dn: str) -> str:
    """
    Return a DN in the one spelling that all spellings of it have in common.

    :raises ValueError: it is none
    """
    return ",".join(
        "+".join(sorted(f"{attribute}={_folded(value)}" for attribute, value in rdn)) for rdn in parsed_dn(dn)
    )


def first_value(dn: str) -> tuple[str, str]:
    """
    Return the attribute, in lower case, and the value that a DN begins with: ``cn``, ``Sales, EMEA``.

    :raises ValueError: it is none
    """
    return parsed_dn(dn)[0][0]


def is_dn(text: str) -> bool:
    """Return whether a text can be a DN, rather than a plain name."""
    try:
        parsed_dn(text)
    except ValueError:
        return False
    return True


def domain_of(canonical: str) -> str:
    """Return the parts of a canonical DN that name its domain: ``dc=acme,dc=example``."""
    return ",".join(one for one in canonical.split(",") if one.startswith("dc="))


def parsed_dn(dn: str) -> list[list[tuple[str, str]]]:
    """
    Return the relative names of a DN, each a list of attribute and value.

    :raises ValueError: it is none
    """
    if "\\" not in dn and '"' not in dn and "+" not in dn:  # nearly all are
        return [[_pair(one)] for one in dn.split(",")]
    rdns: list[list[tuple[str, str]]] = [[]]
    for text, mark in _cut(dn):
        rdns[-1].append(_pair(text))
        if mark == ",":
            rdns.append([])
    return rdns


def _cut(dn: str) -> list[tuple[str, str]]:
    """Return what stands between the commas and plus signs of a DN that are not escaped, and these."""
    pieces: list[tuple[str, str]] = []
    start, position, quoted = 0, 0, False
    while position < len(dn):
        character = dn[position]
        if character == "\\":
            position += 1
        elif character == '"':
            quoted = not quoted
        elif character in ",+" and not quoted:
            pieces.append((dn[start:position], character))
            start = position + 1
        position += 1
    if quoted:
        raise ValueError("a quote is not closed")
    return [*pieces, (dn[start:], "")]


def _pair(text: str) -> tuple[str, str]:
    attribute, equals, value = text.partition("=")
    attribute = attribute.strip()
    if not equals or not _ATTRIBUTE.fullmatch(attribute):
        raise ValueError(f"{text!r} is not attribute=value")
    return attribute.lower(), _unescaped(_trimmed(value))


def _trimmed(value: str) -> str:
    """Return a value without the blanks around it; one that is escaped belongs to it."""
    value = value.lstrip(" ")
    short = value.rstrip(" ")
    slashes = len(short) - len(short.rstrip("\\"))
    return f"{short} " if slashes % 2 and len(short) < len(value) else short


def _unescaped(value: str) -> str:
    if len(value) > 1 and value[0] == '"' and value[-1] == '"':
        value = value[1:-1]
    if "\\" not in value:
        return value
    octets = bytearray()
    position = 0
    while position < len(value):
        character = value[position]
        if character != "\\":
            octets += character.encode()
            position += 1
        elif _HEX.fullmatch(pair := value[position + 1 : position + 3]):
            octets.append(int(pair, 16))
            position += 3
        else:
            octets += value[position + 1 : position + 2].encode()
            position += 2
    return octets.decode()


def _folded(value: str) -> str:
    text = " ".join(value.split()).casefold()
    return re.sub(r"([\\,+])", r"\\\1", text)
