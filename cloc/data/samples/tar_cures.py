"""What is wrong with somebody else's tar, in words, and the commands that mend it.

No torch here: data preparation and the loader both stand on this file.
"""

import shlex
from collections.abc import Collection, Mapping
from typing import Any

UNREAD = "__unread__"  # of a raw sample: names of members that were not read, a line each

# Ending of a shard's name, first bytes of the file -> what it is and what unpacks it to stdout.
COMPRESSED = (
    ((".gz", ".tgz"), b"\x1f\x8b", "gzip", "gunzip -c"),
    ((".zst", ".tzst"), b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    ((".xz", ".txz"), b"\xfd7zXZ\0", "xz", "xz -dc"),
    ((".bz2", ".tbz2", ".tbz"), b"BZh", "bzip2", "bzip2 -dc"),
    ((".lz4",), b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
)
_NO_SHARDS = (".idx", ".json", ".jsonl", ".parquet", ".csv", ".tsv", ".zip", ".md", ".partial")
# First bytes -> what the file is, and the cure.
_FOREIGN = (
    (b"version https://git-lfs", "a pointer of Git LFS, not the file; fetch it: git lfs pull"),
    (b"PK\x03\x04", "a zip; unpack it and pack the files into a tar"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and pack the files into a tar"),
    (b"Rar!", "a rar archive; unpack it and pack the files into a tar"),
    (b"PAR1", "a parquet file, which only some import= of cloc-pretrain prepare read"),
    (b"<", "a page of HTML or XML, as a failed download leaves; download it again"),
)
# For GNU tar. Dots become _, the last one of a name stays: x.v2.jpg is x_v2.jpg.
DOTS = r"--transform='s,^\./,,;s,\.,_,g;s,_\([^_/]*\)$,.\1,'"
# What stands between the key and the last suffix goes: 0.image.jpg and 0.caption.txt are one key.
INNER = r"--transform='s,\(^\|/\)\([^./]*\)\.[^/]*\.\([^./]*\)$,\1\2.\3,'"


def refuse_name(path: str) -> str:
    """Why a file of this name is no shard, "" if it may be one. What is compressed could only be
    read from its beginning, and samples are read where they lie."""
    for endings, _, kind, command in COMPRESSED:
        for ending in endings:
            if path.lower().endswith(ending):
                plain = path[: -len(ending)].removesuffix(".tar") + ".tar"
                return (
                    f"{path}: compressed by {kind}, so its samples cannot be read where they lie; "
                    f"unpack it: {command} {shlex.quote(path)} > {shlex.quote(plain)}"
                )
    if path.lower().endswith(_NO_SHARDS):
        return f"{path}: no tar by its name; name the tars alone, such as FOLDER/*.tar"
    return ""


def foreign(head: bytes, path: str) -> str:
    """What a file that begins so is instead of a tar, and the cure; "" where that is not known."""
    for _, magic, kind, command in COMPRESSED:
        if head.startswith(magic):
            quoted, plain = shlex.quote(path), shlex.quote(f"{path}.plain")
            return (
                f"compressed by {kind} under the name of a tar; unpack it: {command} {quoted} > "
                f"{plain} && mv {plain} {quoted}"
            )
    return next((what for magic, what in _FOREIGN if head.lstrip().startswith(magic)), "")


def repack(path: str, *, rename: str = "") -> str:
    """The command that packs a tar anew, members by name, so that those of a key are neighbours;
    `rename` is DOTS or INNER."""
    source, stem = shlex.quote(path), path.removesuffix(".tar")
    target, folder = shlex.quote(f"{stem}-repacked.tar"), shlex.quote(f"{stem}-unpacked")
    option = f" {rename}" if rename else ""
    return (
        f"mkdir -p {folder} && tar -xif {source} -C {folder}{option} && "
        f"tar --sort=name -cf {target} -C {folder} ."
    )


def missing_member(sample: Mapping[str, Any], suffixes: Collection[str]) -> str:
    """Why a raw sample has none of `suffixes`: what it has instead, the rule, and the cure."""
    key, path = sample["__key__"], sample["__url__"]
    unread = [name for name in sample.get(UNREAD, b"").decode().split("\n") if name]
    read = [suffix for suffix in sample if not suffix.startswith("__")]
    dotted = [name for name in unread if name.rpartition(".")[2].lower() in suffixes]
    if dotted:
        suffix = dotted[0].rpartition("/")[2].partition(".")[2]
        stored = dotted[0].removesuffix(f".{suffix}")  # an importer may have changed the key
        return (
            f"a key ends at the first dot of a name, so {dotted[0]!r} is the member {suffix!r} of "
            f"the key {stored!r}, which is not read; rename it, for all of the tar by: "
            f"{repack(path, rename=_renaming(stored, read, unread))}"
        )
    names = [f"{key}.{suffix}" for suffix in read] + unread
    return (
        f"its members are {', '.join(map(repr, names[:8]))}; add one where the shard is made, or, "
        "if it stands elsewhere in the tar, put the members of a key side by side: "
        f"{repack(path)}"
    )


def _renaming(key: str, read: Collection[str], unread: Collection[str]) -> str:
    """Members with one last suffix each are parts of one sample, whatever stands before it; of
    several samples some suffix is there twice, or all have the same before it."""
    suffixes = [*read, *(name.removeprefix(f"{key}.") for name in unread)]
    inner, last = zip(*(suffix.rpartition(".")[::2] for suffix in suffixes), strict=True)
    return INNER if len(set(inner)) > 1 and len(set(last)) == len(last) else DOTS
