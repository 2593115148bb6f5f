"""Format `llama_index`: LlamaIndex's EmbeddingQAFinetuneDataset saved as JSON.

A file has `queries` and `corpus`, which map ids to texts, `relevant_docs`, which maps query ids to lists of document
ids, and in later versions `mode`. `raw` is one such file, or a folder with any of train_dataset.json,
val_dataset.json and test_dataset.json, whose corpora are merged.
"""

from collections.abc import Iterator
from pathlib import Path

from retune.core.errors import InputError
from retune.core.records import SPLITS
from retune.params.convert import Convert
from retune.reading.id_maps import load, read_content
from retune.reading.raw_files import num_unread, one_file, split_file
from retune.reading.source_records import Dropped, Record

KEYS = ("queries", "corpus", "relevant_docs", "mode")


class Params(Convert):
    """The parameters that all formats share."""


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the file or folder `raw`."""
    found = {split: split_file(raw, split, "{split}_dataset.json") for split in SPLITS}
    files = {split: path for split, path in found.items() if path} or {"train": one_file(raw, ".json")}
    yield Dropped("file not called after a split", num_unread(raw, files.values(), ".json"))
    for split, path in files.items():
        content = load(path)
        if unknown := sorted(content.keys() - set(KEYS)):
            raise InputError(f"{path}: expected only {', '.join(KEYS)}, got {unknown[0]!r}; is its format rag_json?")
        yield from read_content(content, path, {}, default_split=split)
