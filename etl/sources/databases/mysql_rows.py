"""The rows of a result of MySQL, as they come over the wire, parted into columns by numpy.

The text protocol: a row is a packet, a value its length and its bytes (`page_protocol_com_query`
of MySQL's documentation). PyMySQL reads the same packets and makes Python values of them, which
costs seventeen times as much.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from etl.errors import ExtractionError
from etl.sources.databases.driver import library

_HEADER, _WHOLE = 4, 0xFFFFFF
_END, _ERROR = 0xFE, 0xFF
_MOST_OF_END = 9  # bytes; a row that begins like an end is longer
_NULL, _TWO, _THREE, _EIGHT = 251, 252, 253, 254
_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Rows:
    """Some rows as they came.

    Attributes:
        data: all their bytes.
        starts: where each row begins.
    """

    data: bytes
    starts: Sequence[int]


def rows_of(connection: Any, cursor: Any, chunk_rows: int) -> Iterator[Rows]:
    """Yield the rows of a query that has been asked, without holding all of them.

    Args:
        connection: of PyMySQL.
        cursor: an unbuffered one of it, from which nothing has been fetched.
        chunk_rows: about how many rows are yielded at a time.

    Raises:
        pymysql.Error: the server reports one on the way, or goes.
        ExtractionError: a row has 16 MiB or more.
    """
    cursor._result.unbuffered_active = False  # else closing it would read to the end once more
    data, starts, place, ended = bytearray(), list[int](), 0, False
    while not ended:
        data += _more(connection)
        place, ended = _part(data, place, starts)
        if starts and (ended or len(starts) >= chunk_rows):
            yield Rows(bytes(data), starts)
            del data[:place]
            place, starts = 0, []


def _more(connection: Any) -> bytes:
    found: bytes = connection._rfile.read1(_AT_ONCE)
    if not found:
        raise ConnectionError("Lost connection to MySQL server during query")
    return found


def _part(data: bytearray, place: int, starts: list[int]) -> tuple[int, bool]:
    """Note where the packets begin that are there whole; return where the next one does."""
    length, add = len(data), starts.append
    while place + _HEADER < length:
        size = data[place] | data[place + 1] << 8 | data[place + 2] << 16
        after = place + _HEADER + size
        if after > length:
            break
        first = data[place + _HEADER]
        if first == _ERROR:
            packet = bytes(data[place + _HEADER : after])
            library("pymysql.err", "mysql").raise_mysql_exception(packet)
        if first == _END and size < _MOST_OF_END:
            return after, True
        if size == _WHOLE:
            raise ExtractionError("a row has 16 MiB or more", next_step="leave out large columns")
        add(place + _HEADER)
        place = after
    return place, False


def decoded(rows: Rows, names: Sequence[str]) -> pa.RecordBatch:
    r"""Return rows as columns of text.

    Args:
        rows: as they came.
        names: of their columns.

    Example:
        >>> decoded(Rows(b"\x02ab\xfb\x01c\x00", [0, 4]), ["a", "b"]).to_pydict()
        {'a': ['ab', 'c'], 'b': [None, '']}
    """
    data, place = np.frombuffer(rows.data, np.uint8), np.array(rows.starts, np.int64)
    arrays = []
    for _ in names:
        starts, lengths, null = _values(data, place)
        place = starts + lengths
        arrays.append(_texts(data, starts, lengths, null=null))
    return pa.RecordBatch.from_arrays(arrays, list(names))


_Ints = NDArray[np.int64]


def _values(data: NDArray[np.uint8], place: _Ints) -> tuple[_Ints, _Ints, NDArray[np.bool_]]:
    """Where the next value of each row begins, how long it is, and whether it is NULL."""
    first = data[place]
    lengths, heads = first.astype(np.int64), np.ones(len(place), np.int64)
    for mark, width in ((_TWO, 2), (_THREE, 3), (_EIGHT, 8)):
        long = np.flatnonzero(first == mark)
        if len(long):
            at = place[long]
            lengths[long] = sum(
                data[at + 1 + byte].astype(np.int64) << 8 * byte for byte in range(width)
            )
            heads[long] = 1 + width
    null = first == _NULL
    lengths[null] = 0
    return place + heads, lengths, null


def _texts(
    data: NDArray[np.uint8], starts: _Ints, lengths: _Ints, *, null: NDArray[np.bool_]
) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    nulls = int(null.sum())
    valid = pa.py_buffer(np.packbits(~null, bitorder="little")) if nulls else None
    return pa.LargeStringArray.from_buffers(
        len(lengths), pa.py_buffer(offsets), pa.py_buffer(data[places]), valid, nulls
    ).cast(pa.string())
