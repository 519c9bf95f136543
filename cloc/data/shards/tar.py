"""One sample of a shard from its bytes: strict, allowlisted members only, nothing is extracted.

No torch here: data preparation and the loader both stand on this file.
"""

import re
import tarfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

from cloc.data.samples.decode import IMAGES, TEXTS, is_wanted
from cloc.data.samples.tar_cures import UNREAD
from cloc.errors import BadSample

BLOCK = tarfile.BLOCKSIZE
MAX_SAMPLE_BYTES = 256 << 20  # of the whole chunk: check it before reading one
MAX_MEMBERS = 64  # in one sample, read or not
_MAX_EXTENSION_BYTES = 1 << 16  # of one member: room for a long name, none for an attack
_MAX_MEMBER_BYTES = 1 << 60  # keeps offsets within 64 bits
_NO_CONTENT = (tarfile.DIRTYPE, tarfile.XGLTYPE)
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_GNU = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_DENSE = "pack it again without tar --sparse"
_CURE = "copy the shard again, or if its index is of another tar, remove and rewrite the index"

Read = Callable[[int, int], bytes]  # (offset, length) -> at most that many bytes


class Broken(Exception):
    """Bytes that are not a tar, and at which offset; `cure` where the cause has one of its own."""

    def __init__(self, at: int, cause: str, cure: str = "") -> None:
        super().__init__(f"at byte {at:,}: {cause}")
        self.at, self.cure = at, cure


class Header(NamedTuple):
    """One member; offsets are in bytes of what was read."""

    name: str
    key: str  # "" for what belongs to no sample: directories, global headers, `__meta__`, no dot
    suffix: str  # in lower case
    is_file: bool  # False for links, devices and all other special members
    begin: int  # of its first header block: a long name comes before the member's own
    data: int
    size: int
    end: int  # where the next member begins


def members(
    chunk: bytes | memoryview, *, num_bytes: int, where: str
) -> tuple[str, dict[str, bytes]]:
    """Key and allowlisted members (suffix in lower case -> content) of one sample, or an error.

    `num_bytes` is what the index says the sample has. `BadSample` of reason "tar" names `where` and
    the offset if the chunk is shorter, if a header is wrong, if a member is a link or another
    special file or belongs to another sample, if a suffix occurs twice, or if the members do not
    fill the chunk exactly. Other suffixes are skipped unread; where that leaves no picture or no
    text, `UNREAD` holds their names. A name is only a name: nothing is extracted, so `..` and
    absolute paths do nothing.
    """
    try:
        if num_bytes > MAX_SAMPLE_BYTES:
            cause = f"a sample of {num_bytes:,} bytes, at most {MAX_SAMPLE_BYTES:,} are read"
            raise Broken(0, cause)
        if len(chunk) != num_bytes:
            cause = f"the sample is cut, {num_bytes:,} bytes were expected"
            raise Broken(len(chunk), cause)
        return _members(chunk)
    except Broken as error:
        raise BadSample("tar", f"{where}: {error}; {error.cure or _CURE}") from None


def _members(chunk: bytes | memoryview) -> tuple[str, dict[str, bytes]]:
    key, end = "", 0
    seen, found, unread = set[str](), dict[str, bytes](), list[str]()
    for number, header in enumerate(headers(lambda at, length: bytes(chunk[at : at + length]))):
        end = header.end
        if number == MAX_MEMBERS:
            raise Broken(header.begin, f"more than {MAX_MEMBERS} members in one sample")
        if not header.key:
            continue
        key = key or header.key
        _check(header, key, seen)
        seen.add(header.suffix)
        if is_wanted(header.name):
            found[header.suffix] = bytes(chunk[header.data : header.data + header.size])
        else:
            unread.append(header.name)
    if end != len(chunk) or not key:
        cause = f"the members end before the sample's {len(chunk):,} bytes do"
        if end > len(chunk):
            cause = "the last member reaches beyond the sample"
        raise Broken(min(end, len(chunk)), cause)
    if unread and (found.keys().isdisjoint(IMAGES) or found.keys().isdisjoint(TEXTS)):
        found[UNREAD] = "\n".join(map(_on_one_line, unread)).encode()
    return key, found


def _on_one_line(name: str) -> str:
    return name if name.isprintable() else repr(name)[1:-1]


def _check(header: Header, key: str, seen: set[str]) -> None:
    what, at = repr(header.name), header.begin
    if header.key != key:
        raise Broken(at, f"{what} does not belong to the sample {key!r}")
    if not header.is_file:
        cure = "pack the files themselves: tar -h --hard-dereference"
        raise Broken(at, f"{what} is a link or a special file", cure)
    if header.suffix in seen:
        cure = "keys are unique in a shard and suffixes in a key: rename one of the two"
        raise Broken(at, f"{what} occurs twice", cure)


def headers(read: Read) -> Iterator[Header]:
    """The members, up to a block of zeros or to the end of what can be read; content is not read.

    A wrong checksum, a cut header, a sparse file or a malformed extension raises `Broken`. Whether
    the place where it ends is the right one is for the caller to say.
    """
    begin, at, extra = 0, 0, dict[str, str]()
    while (block := read(at, BLOCK)) and block.count(0) < len(block):
        info = _parsed(block, at)
        extends = info.type in _PAX or info.type in _GNU
        size = _size(info.size if extends else extra.get("size", info.size), at)
        at += BLOCK
        if extends:
            if at + size - begin > _MAX_EXTENSION_BYTES:
                raise Broken(at, f"extension headers of over {_MAX_EXTENSION_BYTES:,} bytes")
            extra |= _extension(info.type, read(at, size), size, at)
            at += _padded(size)
            continue
        end = at + _padded(size) if _has_data(info) else at
        name = extra.get("path", info.name).rstrip("/")
        key, suffix = ("", "") if info.type in _NO_CONTENT else split_name(name)
        yield Header(name, key, suffix, info.isreg(), begin, at, size, end)
        begin, at, extra = end, end, {}


def _parsed(block: bytes, at: int) -> tarfile.TarInfo:
    try:
        # Names that are not UTF-8 are spelled out: a key must be printable.
        info = tarfile.TarInfo.frombuf(block, "utf-8", "backslashreplace")
    except (tarfile.HeaderError, ValueError) as error:
        raise Broken(at, f"not a tar header ({error})") from None
    if info.type == tarfile.GNUTYPE_SPARSE:
        raise Broken(at, f"{info.name!r} is a sparse file", _DENSE)
    return info


def _size(value: str | int, at: int) -> int:
    text = str(value)
    size = int(text) if text.isdecimal() and len(text) < 20 else -1
    if not 0 <= size < _MAX_MEMBER_BYTES:
        raise Broken(at, f"a member of {text[:30]!r} bytes")
    return size


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _has_data(info: tarfile.TarInfo) -> bool:
    """As `tarfile` has it: the size of a link, a directory or a device means nothing."""
    return info.isreg() or info.type not in tarfile.SUPPORTED_TYPES or info.type == tarfile.XGLTYPE


def _extension(kind: bytes, data: bytes, size: int, at: int) -> dict[str, str]:
    """What the header says of the next member, as far as it matters: `path` and `size`."""
    if len(data) != size:
        raise Broken(at, "an extension header is cut")
    if kind == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.partition(b"\0")[0].decode("utf-8", "backslashreplace")}
    return _pax(data, at) if kind in _PAX else {}


def _pax(data: bytes, at: int) -> dict[str, str]:
    """Records `LENGTH KEYWORD=VALUE\\n`, where LENGTH counts the whole record."""
    found, start = dict[str, str](), 0
    while start < len(data):
        digits, space, _ = data[start : start + 20].partition(b" ")
        end = start + int(digits) if digits.isdigit() and space else 0
        keyword, equals, value = data[start + len(digits) + 1 : end].partition(b"=")
        if not equals or end > len(data) or not value.endswith(b"\n"):
            raise Broken(at + start, "an extension header is not made of records")
        if keyword.startswith(b"GNU.sparse."):
            raise Broken(at + start, "a sparse file", _DENSE)
        if keyword in (b"path", b"size"):
            found[keyword.decode()] = value[:-1].decode("utf-8", "backslashreplace")
        start = end
    return found


_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)$")
_META = re.compile(r"__[^/]*__($|/)")
_OF_MACOS = re.compile(r"(.*/)?(__MACOSX/|[.]_[^/]*$)")  # what its tar and zip put beside each file


def split_name(name: str) -> tuple[str, str]:
    """(key, suffix in lower case), cut at the first dot behind the last slash, as webdataset does.

    Empty for the names it leaves out: without a dot, beginning with one, or `__like_this__`. And
    for `._NAME` in a folder, of which it would make samples that tear the others apart.
    """
    match = None if _META.match(name) or _OF_MACOS.match(name) else _NAME.match(name)
    return (match[1], match[2].lower()) if match else ("", "")
