"""Layout `eedi_unlabelled` of `predict`: the wrong answers without a misconception; it is not a format of `convert`."""

from collections.abc import Iterator
from pathlib import Path

from retune.formats.eedi import LABELS, LETTERS, query_text, read_questions
from retune.reading.source_records import Query


def read_queries(path: Path) -> Iterator[Query]:
    """Yield every wrong answer of Kaggle's train.csv that nobody labelled."""
    for where, row in read_questions(path, LABELS):
        for letter, label in zip(LETTERS, LABELS, strict=True):
            if letter != row["CorrectAnswer"] and not row[label]:
                yield Query(f"{row['QuestionId']}_{letter}", query_text(row, letter), where)
