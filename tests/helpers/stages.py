"""Stages without a model, for the engine: what they do can be told from the shards."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from data_prep.stage import PHRASES


class Words:
    """Phrases are the words of the first caption; captions of one word make the sample drop out."""

    name = "words"

    def __init__(self, *, longest=20, version=1):
        self.longest, self.version = longest, version

    def __call__(self, records, notes):
        found = []
        for record in records:
            words = record.captions[0].text.split() if record.captions else []
            for word in words:
                if len(word) > self.longest:
                    notes.phrase(record, "long", word)
            kept = [word for word in words if len(word) <= self.longest]
            notes.events["words"] += len(words)
            if kept:
                found.append(replace(record, meta={**record.meta, PHRASES: kept}))
            else:
                notes.sample(record, "wordless")
        return found

    def describe(self):
        return {"version": self.version, "longest": self.longest}


class Fails:
    """Raises, or kills its process, for shards whose first key holds `mark`; every time, or while
    the file `until` is missing (which it writes)."""

    name = "fails"

    def __init__(self, *, mark, by="error", until=None):
        self.mark, self.by, self.until = mark, by, until

    def __call__(self, records, notes):
        if self.mark in records[0].key and not (self.until and Path(self.until).exists()):
            if self.until:
                Path(self.until).touch()
            if self.by == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError(f"{self.mark}: no luck")
        return list(records)

    def describe(self):
        return {"version": 1}


class Waits:
    """Holds shards whose first key holds `mark` back until the file `until` is there; a minute at
    most."""

    name = "waits"

    def __init__(self, *, mark, until):
        self.mark, self.until = mark, until

    def __call__(self, records, notes):
        end = time.monotonic() + 60
        while self.mark in records[0].key and not Path(self.until).exists():
            if time.monotonic() > end:
                raise RuntimeError(f"{self.until} has not come")
            time.sleep(0.05)
        return list(records)

    def describe(self):
        return {"version": 1}


class Logs:
    """Takes `sleep_s` for a shard and writes a line to `file` when it begins one."""

    name = "logs"

    def __init__(self, *, file, sleep_s):
        self.file, self.sleep_s = file, sleep_s

    def __call__(self, records, notes):
        with Path(self.file).open("a") as file:
            file.write(f"{records[0].key}\n")
        time.sleep(self.sleep_s)
        return list(records)

    def describe(self):
        return {"version": 1}
