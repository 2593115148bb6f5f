"""The contract: shard i of n is a Parquet file that says which work it is part of, and is named by its content."""

import json
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from retune.core.errors import InputError
from retune.core.files import json_hash, sha256

KEY = b"retune"  # of what a shard says about itself, in the metadata of its Parquet file
HASH_DIGITS = 16  # of a file's sha256, in its name
NAME = re.compile(r"(\d{5})-of-(\d{5})-([0-9a-f]{16})\.parquet")
MOST = 99_999
SOURCE = Path(__file__).parents[1]
# the packages that decide a result
CODE = ("core", "encoding", "llm", "mining", "models", "params", "retrieval", "sharding", "text")


@dataclass(frozen=True)
class Shard:
    """Shard `number` of `count`, counted from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `i/n`.

        Raises:
            InputError: It is something else.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        number, count = (int(part) for part in match.groups()) if match else (0, 0)
        if not 1 <= number <= count <= MOST:
            raise InputError(f"shard: expected i/n with i from 1 to n, such as 2/8, got {text!r}")
        return cls(number, count)

    def rows(self, total: int) -> slice:
        """Return this shard's rows of all; shards differ by one row at most, and follow each other."""
        return slice(total * (self.number - 1) // self.count, total * self.number // self.count)


@dataclass(frozen=True)
class Work:
    """What shards are part of: they are merged only if all of this is equal.

    Attributes:
        name: The work, such as `mine.science`.
        hashes: A hash of each thing that decides the result, such as `code` and `parameters`.
    """

    name: str
    hashes: Mapping[str, str]

    def differences(self, other: "Work") -> list[str]:
        """Return what differs, in words."""
        if self.name != other.name:
            return ["work"]
        return sorted(name for name in self.hashes if self.hashes[name] != other.hashes.get(name))

    def check(self, other: "Work") -> None:
        """Check that shards are part of the work that would be done here.

        Raises:
            InputError: They are not.
        """
        if differing := self.differences(other):
            raise InputError(
                f"{self.name}: expected shards of what is here, got other {', '.join(differing)}; run the shards "
                "again, or merge where they were run"
            )


@dataclass(frozen=True)
class Result:
    """What a shard holds.

    Attributes:
        work: What it is part of.
        shard: Which part it is.
        facts: What cannot be said row by row.
        read: Returns the rows; from the file if the shard was written, so that not all have to be in memory.
    """

    work: Work
    shard: Shard
    facts: Mapping[str, Any]
    read: Callable[[], pa.Table]


def write_shard(folder: Path, result: Result) -> Path:
    """Write a shard under a name that contains a hash of the file; return its path."""
    about = {
        "work": result.work.name,
        "hashes": dict(result.work.hashes),
        "shard": [result.shard.number, result.shard.count],
        "facts": dict(result.facts),
    }
    table = result.read()
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{socket.gethostname()}-{os.getpid()}.partial"  # a scheduler may run a shard twice at once
    pq.write_table(table.replace_schema_metadata({KEY: json.dumps(about, sort_keys=True).encode()}), unfinished)
    path = folder / f"{result.shard.number:05}-of-{result.shard.count:05}-{sha256(unfinished)[:HASH_DIGITS]}.parquet"
    unfinished.rename(path)
    return path


def read_shards(folder: Path) -> list[Result]:
    """Return all shards of a folder in their order.

    Raises:
        InputError: One is missing, there twice or damaged, or they are parts of different work.
    """
    paths = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
    written = [(path, _read(path)) for path in paths]
    results = sorted((result for _, result in written), key=lambda result: result.shard.number)
    if not results:
        raise InputError(f"{folder}: expected shards, found none; run python -m stages.shard")
    for other in written[1:]:
        _check_same_work(folder, written[0], other)
    numbers, count = [result.shard.number for result in results], results[0].shard.count
    if missing := sorted({*range(1, count + 1)} - {*numbers}):
        shown = ", ".join(f"{number}/{count}" for number in missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise InputError(f"{folder}: expected {count} shards, {len(missing)} are missing: {shown}; run them")
    if len(numbers) > count:
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise InputError(f"{folder}: expected each shard once, got two files of shard {twice}/{count}; remove one")
    return results


def _read(path: Path) -> Result:
    match = NAME.fullmatch(path.name)
    if not match or sha256(path)[:HASH_DIGITS] != match[3]:
        raise InputError(f"{path}: expected a shard with the hash in its name, got another file; run that shard again")
    about = json.loads(pq.read_schema(path).metadata[KEY])
    work, part = Work(about["work"], about["hashes"]), Shard(*about["shard"])
    return Result(work, part, about["facts"], partial(pq.read_table, path))


def _check_same_work(folder: Path, first: tuple[Path, Result], other: tuple[Path, Result]) -> None:
    (path, one), (other_path, two) = first, other
    differing = one.work.differences(two.work)
    if one.shard.count != two.shard.count:
        differing.append("number of shards")
    if differing:
        raise InputError(
            f"{folder}: expected shards of the same work, got other {', '.join(differing)} in {path.name} and "
            f"{other_path.name}; remove those that are not wanted, and run the missing ones"
        )


def code_hash(packages: Sequence[str]) -> str:
    """Return a hash of the code of some packages of retune."""
    paths = sorted(path for package in packages for path in (SOURCE / package).rglob("*.py"))
    return json_hash([[path.relative_to(SOURCE).as_posix(), sha256(path)] for path in paths])


def files_hash(folder: Path) -> str:
    """Return a hash of all files in a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return json_hash([[path.relative_to(folder).as_posix(), sha256(path)] for path in paths])
