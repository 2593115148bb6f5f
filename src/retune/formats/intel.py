"""Format `intel`: the files of the embedding fine-tuning example in intel-extension-for-transformers.

`raw` is a folder with candidate_context.jsonl (`{"context": [text]}`), all of whose texts are documents, and a file of
queries (`{"query", "pos": [text], "neg": [text]}`, where `neg` is optional). Every text of a list is a separate
document; the evaluation script of that example joins the texts with commas instead.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from retune.params.convert import Convert
from retune.reading.lines import read_json_lines
from retune.reading.raw_files import plain_or_packed
from retune.reading.source_records import Document, Query, Record, judge, text_id
from retune.reading.values import columns_in, texts_in


class Params(Convert):
    """The file of queries in the folder."""

    file: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]  # example.jsonl or augmented_example.jsonl


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the folder `raw`."""
    for where, row in read_json_lines(plain_or_packed(raw / "candidate_context.jsonl")):
        columns_in(row, ["context"], where)
        for text in texts_in(row["context"], f"{where}: context"):
            yield Document(text_id(text), None, text, where)
    for number, (where, row) in enumerate(read_json_lines(plain_or_packed(raw / params.file)), start=1):
        columns_in(row, ["query", "pos"], where)
        yield Query(f"q{number}", row["query"], where)
        for key, relevance in (("pos", 1), ("neg", 0)):
            yield from judge(f"q{number}", texts_in(row.get(key), f"{where}: {key}"), relevance, f"{where}: {key}")
