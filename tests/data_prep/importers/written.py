"""Small pictures for importers, and what they wrote as a loader reads it."""

from cloc.data.samples.decode import decode_record
from cloc.data.samples.record import refuse_problems
from cloc.data.shards.reader import read_samples
from cloc.data.shards.shard_set import open_shards
from cloc.data.sources.cloc_regions import parse
from tests.helpers.shards import encode, flat


def jpeg(width=40, height=30, colour=(90, 90, 90)):
    return encode(flat(width, height, colour), "JPEG")


def written(folder):
    """All records of a shard folder, in order; none may have a problem, every picture decodes."""
    records = [parse(sample) for sample in read_samples(open_shards(folder, key="x"), key="x")]
    for record in records:
        refuse_problems(record)
        decode_record(record, record.key)
    return records
