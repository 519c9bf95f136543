"""Shard sets on disk: found, read, indexed and written (`write_shards`)."""

from typing import Any

PUBLIC = ("write_shard", "write_shards")


def __getattr__(name: str) -> Any:
    if name in PUBLIC:  # deferred: who reads one file imports no writer
        from cloc.data.shards import writer

        return getattr(writer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
