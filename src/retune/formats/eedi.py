"""Format `eedi`: the CSV files of the Kaggle competition "Eedi - Mining Misconceptions in Mathematics".

`raw` is a folder with misconception_mapping.csv and train.csv; with `rule: files` it may also have test.csv. Every
wrong answer with a known misconception is a query, and the misconceptions are the documents. All queries of a
question, or of a construct, form one group.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, model_validator

from retune.core.errors import InputError
from retune.params.convert import Convert
from retune.reading.raw_files import plain_or_packed
from retune.reading.source_records import Document, Dropped, Judgment, Query, Record
from retune.reading.tables import read_csv
from retune.reading.values import columns_in

LETTERS = "ABCD"
LABELS = [f"Misconception{letter}Id" for letter in LETTERS]
ANSWERS = [f"Answer{letter}Text" for letter in LETTERS]
QUESTION = ["QuestionId", "ConstructName", "CorrectAnswer", "QuestionText"]
SEED = 42  # for numpy's legacy generator, as published


def _is_template(value: str) -> str:
    fields = {field for _, field, _, _ in Formatter().parse(value) if field is not None}
    if fields != {"query", "misconception"}:
        raise ValueError(f"expected a text with {{query}} and {{misconception}}, got {value!r}")
    return value


class Params(Convert):
    """The instruction and the example put before queries, and what selects the test and dev questions."""

    prompt: str | None = None  # put before every query, and before the model's prefix
    example: Annotated[str, AfterValidator(_is_template)] | None = None  # put before the prompt of dev and test queries
    rule: Literal["files", "validation_v2", "cross_validation", "submission"]
    group_by: Literal["QuestionId", "ConstructId"] = "QuestionId"  # the questions of a group stay in one split

    @model_validator(mode="after")
    def _has_use_for_groups(self) -> "Params":
        if self.group_by != "QuestionId" and self.split_by != "group":
            raise ValueError(f"group_by: expected split_by: group beside it, got split_by: {self.split_by}; change one")
        return self


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the CSV files in the folder `raw`.

    The rule selects the test questions. Two rules draw them from train.csv as the authors of published results did:
    `validation_v2` draws 622 in 939 of the questions whose wrong answers are all labelled, and `cross_validation` a
    fifth of all questions. `submission` has no test split: all labelled pairs are train, and Kaggle's unlabelled
    test.csv is not read. `files` uses a labelled test.csv, if there is one, as the test split.
    """
    names: dict[str, str] = {}
    for where, row in read_csv(plain_or_packed(raw / "misconception_mapping.csv")):
        columns_in(row, ["MisconceptionId", "MisconceptionName"], where)
        doc_id = _whole_number(row["MisconceptionId"], where)
        names[doc_id] = row["MisconceptionName"].strip()
        yield Document(doc_id, None, names[doc_id], where)
    questions = list(read_questions(raw / "train.csv", LABELS))
    test = _drawn(questions, params.rule)
    for where, row in questions:
        yield from _pairs(row, where, "test" if row["QuestionId"] in test else "train", params, names)
    if params.rule == "files" and params.test == "given":
        for where, row in read_questions(raw / "test.csv", LABELS):
            yield from _pairs(row, where, "test", params, names)


def read_questions(path: Path, labels: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the place and the values of each question; besides the texts, it must have the columns `labels`."""
    names: set[str] = set()
    for where, row in read_csv(plain_or_packed(path)):
        columns_in(row, [*QUESTION, *ANSWERS, *labels], where)
        name = row["QuestionId"]
        if not name.isdecimal() or name in names:
            raise InputError(f"{where}: QuestionId: expected a whole number that no other row has, got {name!r:.80}")
        names.add(name)
        if row["CorrectAnswer"] not in set(LETTERS):
            raise InputError(f"{where}: CorrectAnswer: expected A, B, C or D, got {row['CorrectAnswer']!r}")
        yield where, row


def read_queries(path: Path) -> Iterator[Query]:
    """Yield every wrong answer of Kaggle's test.csv as a query for `predict`, with or without a misconception."""
    for where, row in read_questions(path, []):
        for letter in LETTERS:
            if letter != row["CorrectAnswer"]:
                yield Query(f"{row['QuestionId']}_{letter}", query_text(row, letter), where)


def read_unlabelled(path: Path) -> Iterator[Query]:
    """Yield every wrong answer of Kaggle's train.csv that has no misconception as a query for `predict`."""
    for where, row in read_questions(path, LABELS):
        for letter in LETTERS:
            if row[f"Misconception{letter}Id"]:
                _whole_number(row[f"Misconception{letter}Id"], where)
            elif letter != row["CorrectAnswer"]:
                yield Query(f"{row['QuestionId']}_{letter}", query_text(row, letter), where)


def submission(run: pd.DataFrame, query_ids: Iterable[str]) -> str:
    """Return Kaggle's submission.csv: one row per query, with its misconceptions ordered best first."""
    found = run.groupby("query_id", sort=False)["doc_id"].agg(" ".join)
    rows = (f"{query_id},{found.get(query_id, '')}\n" for query_id in query_ids)
    return "QuestionId_Answer,MisconceptionId\n" + "".join(rows)


def _drawn(questions: list[tuple[str, dict[str, str]]], rule: str) -> set[str]:
    """Return the ids of the questions that the rule draws for the test split."""
    match rule:
        case "validation_v2":
            names = [row["QuestionId"] for _, row in questions if len(_wrong_answers(row)) == len(LETTERS) - 1]
            count = len(names) * 622 // 939
        case "cross_validation":
            names = [row["QuestionId"] for _, row in questions]
            count = len(names) // 5
        case _:
            return set()
    names = sorted(set(names), key=int)
    return set(np.random.RandomState(SEED).choice(names, count, replace=False).tolist())


def _wrong_answers(row: dict[str, str]) -> list[str]:
    """Return the letters of the wrong answers that are labelled with a misconception."""
    return [letter for letter in LETTERS if letter != row["CorrectAnswer"] and row[f"Misconception{letter}Id"]]


def _pairs(row: dict[str, Any], where: str, split: str, params: Params, names: Mapping[str, str]) -> Iterator[Record]:
    """Yield a query and its judgment for every labelled wrong answer."""
    topics = _topics(row, where) if params.example else ()
    columns_in(row, [params.group_by], where)
    for letter in _wrong_answers(row):
        query_id, text = f"{row['QuestionId']}_{letter}", query_text(row, letter)
        doc_id = _whole_number(row[f"Misconception{letter}Id"], where)
        example = params.example and params.example.format(query=text, misconception=names.get(doc_id, ""))
        yield Query(query_id, text, where, split, params.prompt, None, row[params.group_by], topics, example)
        yield Judgment(query_id, doc_id, 1, where)
    yield Dropped("wrong answer without a misconception", len(LETTERS) - 1 - len(_wrong_answers(row)))


def _topics(row: dict[str, str], where: str) -> tuple[tuple[str, str], ...]:
    columns_in(row, ["SubjectId", "ConstructId"], where)
    subject, construct = row["SubjectId"], row["ConstructId"]
    return ("subject and construct", f"{subject} {construct}"), ("subject", subject)


def query_text(row: dict[str, str], letter: str) -> str:
    """Return the text of the query for a wrong answer."""
    correct = row[f"Answer{row['CorrectAnswer']}Text"]
    return (
        f"Question: {row['QuestionText'].strip()}\nHint: {row['ConstructName'].strip()}\n"
        f"Correct answer: {correct.strip()}\nWrong answer: {row[f'Answer{letter}Text'].strip()}"
    )


def _whole_number(value: str, where: str) -> str:
    """Return a misconception's id as a whole number; the files write it as a decimal number, such as 2142.0."""
    try:
        number = float(value)
    except ValueError:
        number = 0.5
    if not number.is_integer():
        raise InputError(f"{where}: expected a whole number as a misconception's id, got {value!r}")
    return str(int(number))
