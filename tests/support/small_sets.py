"""Small data sets and mined sets, made on the spot."""

from pathlib import Path

import pandas as pd

from retune.core import records
from stages import export_data


def table(rows: list[tuple], *columns: str) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))


def a_split(queries: list[tuple], qrels: list[tuple], scores: list[tuple] = ()) -> records.Split:
    return records.Split(
        table(queries, "query_id", "text", "prompt", "answer"),
        table(qrels, "query_id", "doc_id", "relevance"),
        table(list(scores), "query_id", "doc_id", "score"),
    )


def small_dataset() -> records.Dataset:
    corpus = table(
        [("d1", "Tides", "The moon pulls."), ("d2", None, 'Salt "rock"\nis dry.'), ("d3", None, "中")],
        *records.CORPUS.names,
    )
    train = a_split(
        [("q1", "why tides", "Find: ", None), ("q2", "what is salt", None, "rock")],
        [("q1", "d1", 2), ("q1", "d2", 0), ("q2", "d2", 1), ("q2", "d1", 0), ("q2", "d3", 0)],
        [("q1", "d1", 1.5), ("q1", "d2", -0.25)],
    )
    test = a_split([("q3", "moon", None, None)], [("q3", "d1", 1)])
    return records.Dataset(corpus, {"train": train, "dev": records.empty_split(), "test": test})


def mined_set() -> records.Mined:
    rows = [
        ("q1", ["b"], ["c", "a"], [0.8], [0.75, 0.1], "eedi"),
        ("q2", ["a", "b"], ["c"], [0.9, 0.3], [0.25], "eedi"),
    ]
    return records.Mined(
        table(rows, *records.EXAMPLES.names),
        table([("q1", "one?", "Find: ", None), ("q2", "two?", None, "2")], *records.QUERIES.names),
        table([("a", None, "alpha"), ("b", "B", "beta"), ("c", None, "gamma")], *records.CORPUS.names),
    )


def export_small(layout: str, tmp_path: Path) -> dict[str, str]:
    """Export the small data set; return the text of its files that are text."""
    records.write_dataset(tmp_path / "set", small_dataset())
    export_data.main(layout, dataset=tmp_path / "set", out=tmp_path / "out")
    files = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.suffix != ".parquet")
    return {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes().decode() for path in files}
