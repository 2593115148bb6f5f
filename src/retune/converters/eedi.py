"""Format `eedi`: the CSV files of the Kaggle competition "Eedi - Mining Misconceptions in Mathematics".

`raw` is a folder with misconception_mapping.csv, train.csv and, if test is `given`, a labelled test.csv. Every
wrong answer that has a misconception is a query; the misconceptions are the documents. The question is the
group of a cut by group.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from retune.converters.source import QREL_COLUMNS, QUERY_COLUMNS, Source, existing_file
from retune.errors import InputError
from retune.params.convert import Convert

LETTERS = "ABCD"
QUESTION_COLUMNS = ["QuestionId", "ConstructName", "CorrectAnswer", "QuestionText"]
MAPPING_COLUMNS = ["MisconceptionId", "MisconceptionName"]


class Params(Convert):
    """Adds the instruction before every query."""

    prompt: str | None  # a query's own, put before the model's prefix


def read(raw: Path, params: Params) -> Source:
    """Read the CSV files of the folder `raw`.

    Raises:
        InputError: A file or column is missing, or an id is no number.
    """
    path = raw / "misconception_mapping.csv"
    mapping = _read_csv(path, MAPPING_COLUMNS)
    doc_ids = [_whole_number(value, str(path)) for value in mapping["MisconceptionId"]]
    corpus = pd.DataFrame({"doc_id": doc_ids, "title": None, "text": mapping["MisconceptionName"].str.strip()})
    rows = list(_pairs(raw / "train.csv", "train"))
    if params.test == "given":
        rows += _pairs(raw / "test.csv", "test")
    columns = ["query_id", "text", "doc_id", "split", "group"]
    pairs = pd.DataFrame(rows, columns=columns).assign(prompt=params.prompt, answer=None, relevance=1)
    return Source(corpus, pairs[QUERY_COLUMNS], pairs[QREL_COLUMNS], {})


def _pairs(path: Path, split: str) -> Iterator[dict[str, str]]:
    """Yield a query and its misconception for every labelled wrong answer."""
    labels = [f"Misconception{letter}Id" for letter in LETTERS]
    table = _read_csv(path, [*QUESTION_COLUMNS, *(f"Answer{letter}Text" for letter in LETTERS), *labels])
    for row in table.to_dict("records"):
        where = f"{path}: question {row['QuestionId']}"
        if row["CorrectAnswer"] not in set(LETTERS):
            raise InputError(f"{where}: CorrectAnswer: expected A, B, C or D, got {row['CorrectAnswer']!r}")
        for letter in LETTERS:
            if row["CorrectAnswer"] != letter and row[f"Misconception{letter}Id"]:
                yield {
                    "query_id": f"{row['QuestionId']}_{letter}",
                    "text": _query(row, letter),
                    "doc_id": _whole_number(row[f"Misconception{letter}Id"], where),
                    "split": split,
                    "group": str(row["QuestionId"]),
                }


def _query(row: dict[Any, Any], letter: str) -> str:
    correct = row[f"Answer{row['CorrectAnswer']}Text"]
    return (
        f"Question: {row['QuestionText'].strip()}\nHint: {row['ConstructName'].strip()}\n"
        f"Correct answer: {correct.strip()}\nWrong answer: {row[f'Answer{letter}Text'].strip()}"
    )


def _whole_number(value: str, where: str) -> str:
    """Read an id that the files write as a decimal number, such as 2142.0."""
    try:
        number = float(value)
    except ValueError:
        number = 0.5
    if not number.is_integer():
        raise InputError(f"{where}: expected a misconception's number, got {value!r}")
    return str(int(number))


def _read_csv(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read a CSV file with every value as text, empty where there is none."""
    try:
        table = pd.read_csv(existing_file(path), dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected CSV, got {str(error).strip().splitlines()[0]}") from None
    if missing := [column for column in columns if column not in table.columns]:
        raise InputError(f"{path}:1: expected columns {', '.join(columns)}; got none named {', '.join(missing)}")
    return table
