r"""Format `beir`: a folder with corpus.jsonl, queries.jsonl and qrels/{train,dev,test}.tsv.

Documents are `{"_id", "title", "text"}`, queries `{"_id", "text"}`, qrels have the header
`query-id\tcorpus-id\tscore`. A query belongs to the split whose qrels name it, to the first if several do.
"""

from pathlib import Path

import pandas as pd

from retune.converters.source import (
    CORPUS_COLUMNS,
    QUERY_COLUMNS,
    Source,
    existing_file,
    read_json_lines,
    read_lines,
    text_field,
)
from retune.errors import InputError
from retune.params.convert import Convert
from retune.records import SPLITS


class Params(Convert):
    """Adds nothing."""


def read(raw: Path, params: Params) -> Source:
    """Read the folder `raw`.

    Raises:
        InputError: A file is missing, or a line is not as the format has it.
    """
    corpus = []
    for number, record in read_json_lines(existing_file(raw / "corpus.jsonl")):
        where = f"{raw / 'corpus.jsonl'}:{number}"
        doc_id, text = text_field(record, "_id", where), text_field(record, "text", where)
        corpus.append({"doc_id": doc_id, "title": record.get("title") or None, "text": text})
    texts: dict[str, str] = {}
    for number, record in read_json_lines(existing_file(raw / "queries.jsonl")):
        where = f"{raw / 'queries.jsonl'}:{number}"
        query_id = text_field(record, "_id", where)
        if query_id in texts:
            raise InputError(f"{where}: expected each query _id once, got {query_id!r} again")
        texts[query_id] = text_field(record, "text", where)

    files = {split: raw / "qrels" / f"{split}.tsv" for split in SPLITS}
    judgments = [row | {"split": split} for split, path in files.items() if path.is_file() for row in _qrels(path)]
    if not judgments:
        raise InputError(f"{raw / 'qrels'}: expected train.tsv, dev.tsv or test.tsv with judgments, found none")
    judged = pd.DataFrame(judgments)
    splits = judged.drop_duplicates("query_id").set_index("query_id")["split"]
    in_other_split = judged["split"] != judged["query_id"].map(splits)
    rows = [
        {
            "query_id": query_id,
            "text": text,
            "prompt": None,
            "answer": None,
            "split": splits[query_id],
            "group": query_id,
        }
        for query_id, text in texts.items()
        if query_id in splits.index
    ]
    dropped = {
        "negative score taken for 0": int((judged["relevance"] < 0).sum()),
        "query without judgments": len(texts) - len(rows),
        "judgment in a second split": int(in_other_split.sum()),
    }
    qrels = judged[~in_other_split].assign(relevance=lambda table: table["relevance"].clip(lower=0))
    return Source(
        pd.DataFrame(corpus, columns=CORPUS_COLUMNS), pd.DataFrame(rows, columns=QUERY_COLUMNS), qrels, dropped
    )


def _qrels(path: Path) -> list[dict[str, str | int]]:
    rows: list[dict[str, str | int]] = []
    for number, line in read_lines(existing_file(path)):
        fields = line.split("\t")
        if number == 1 and fields[0] == "query-id":
            continue
        if len(fields) != 3:
            raise InputError(f"{path}:{number}: expected 3 fields separated by tabs, got {len(fields)}")
        try:
            rows.append({"query_id": fields[0], "doc_id": fields[1], "relevance": int(fields[2])})
        except ValueError:
            raise InputError(f"{path}:{number}: expected a whole number as score, got {fields[2]!r}") from None
    return rows
