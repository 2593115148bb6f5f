"""Layout `beir`: corpus.jsonl, queries.jsonl and qrels/<split>.tsv."""

from pathlib import Path

from retune.core.files import write_text
from retune.core.records import Dataset
from retune.layouts.contents import SCORES, UNANSWERED, corpus_columns, examples_of, filled, write_lines

LACKS = (SCORES, UNANSWERED)


def write(dataset: Dataset, folder: Path) -> dict[str, int]:
    """Write the corpus, the queries and one qrels file per split; `metadata` contains prompts and answers."""
    corpus = zip(*corpus_columns(dataset), strict=True)
    write_lines(
        folder / "corpus.jsonl",
        ({"_id": key, "title": title, "text": text, "metadata": {}} for key, title, text in corpus),
    )
    (folder / "qrels").mkdir()
    queries = []
    for name, split in filled(dataset):
        for example in examples_of(split):
            extra = {"prompt": example.prompt, "answer": example.answer}
            metadata = {key: value for key, value in extra.items() if value is not None}
            queries.append({"_id": example.query_id, "text": example.text, "metadata": metadata})
        rows = split.qrels[["query_id", "doc_id", "relevance"]].itertuples(index=False)
        lines = (f"{query_id}\t{doc_id}\t{relevance}\n" for query_id, doc_id, relevance in rows)
        write_text(folder / "qrels" / f"{name}.tsv", "query-id\tcorpus-id\tscore\n" + "".join(lines))
    write_lines(folder / "queries.jsonl", queries)
    return {}
