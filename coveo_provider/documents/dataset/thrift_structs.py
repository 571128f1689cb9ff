"""
Thrift's compact protocol, as far as the footer and the page headers of Parquet need it.

pyarrow shows no page headers, and its view of a damaged footer may end the process.
"""

from __future__ import annotations

from typing import Any


class ThriftReader:
    """
    Reads structs, fields by their number: integers, bytes, lists and structs; booleans and doubles are left out.

    :param at: where to begin
    :raises IndexError: the data ends too soon
    :raises ValueError: it is no such struct
    """

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data, self.at = data, at

    def struct(self) -> dict[int, Any]:
        """Return the struct that begins here, and stand behind it."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            if kind not in {1, 2}:  # a boolean, whose kind is its value
                fields[number] = self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in {4, 5, 6}:
            return self._integer()
        if kind == 8:
            return self._bytes(self._varint())
        if kind == 12:
            return self.struct()
        if kind in {9, 10}:
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            if count > len(self._data):
                raise IndexError("a list longer than the data")
            return [self._value(head & 15) for _ in range(count)]
        if kind in {1, 2, 3}:
            return self._bytes(1)
        if kind == 7:
            return self._bytes(8)
        raise ValueError(f"a field of kind {kind}")

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _bytes(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self._data):
            raise IndexError("text longer than the data")
        return self._data[self.at - count : self.at]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
