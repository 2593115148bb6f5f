"""Layout `mteb`: Parquet configurations with a data set card, as on the Hub."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retune.core.files import write_text
from retune.core.records import PARQUET, Dataset
from retune.layouts.contents import SCORES, UNANSWERED, corpus_columns, examples_of, filled

LACKS = (SCORES, UNANSWERED)


def write(dataset: Dataset, folder: Path) -> dict[str, int]:
    """Write Parquet files and the card that lists them.

    mteb refuses nulls and needs an instruction for every query if there are any, so missing values become "".
    """
    keys, titles, texts = corpus_columns(dataset)
    examples = [example for split in dataset.splits.values() for example in examples_of(split)]
    query_ids = [example.query_id for example in examples]
    answers = [example.answer or "" for example in examples]
    prompts = [example.prompt or "" for example in examples]
    queries: dict[str, list[Any]] = {"_id": query_ids, "text": [example.text for example in examples]}
    tables: dict[tuple[str, str], dict[str, list[Any]]] = {
        ("corpus", "corpus"): {"_id": keys, "title": titles, "text": texts},
        ("queries", "queries"): queries | ({"answer": answers} if any(answers) else {}),
    }
    for name, split in filled(dataset):
        names = (("query-id", "query_id"), ("corpus-id", "doc_id"), ("score", "relevance"))
        tables["qrels", name] = {theirs: split.qrels[ours].tolist() for theirs, ours in names}
    if any(prompts):
        tables["instruction", "instruction"] = {"query-id": query_ids, "instruction": prompts}
    configs: dict[str, list[str]] = defaultdict(list)
    for (config, split_name), columns in tables.items():
        path = folder / config / f"{split_name}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        schema = pa.schema([(key, pa.int64() if key == "score" else pa.string()) for key in columns])
        pq.write_table(pa.table(columns, schema=schema), path, **PARQUET)
        configs[config] += [f"  - split: {split_name}", f"    path: {config}/{split_name}-*"]
    card = [line for name, lines in configs.items() for line in (f"- config_name: {name}", "  data_files:", *lines)]
    write_text(folder / "README.md", "\n".join(["---", "configs:", *card, "---", ""]))
    return {}
