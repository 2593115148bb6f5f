"""Format `eedi` on small files in its shape, and on the real ones."""

import json
from pathlib import Path

import pandas as pd
import pytest

from retune.core.errors import InputError
from tests.support.conversion import Converted, convert_raw
from tests.support.repository import SHARED_DATA

EEDI = {"prompt": None, "example": None, "rule": "files", "dev": 0.0, "test": "given", "split_by": "group"}
HEADER = (
    "QuestionId,ConstructId,ConstructName,SubjectId,SubjectName,CorrectAnswer,QuestionText,"
    "AnswerAText,AnswerBText,AnswerCText,AnswerDText,"
    "MisconceptionAId,MisconceptionBId,MisconceptionCId,MisconceptionDId\n"
)
real_data = pytest.mark.skipif(
    not (SHARED_DATA / "eedi").is_dir(), reason="real Eedi data is not beside the repository"
)


def write_eedi(folder: Path, train: str = "", test: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    names = 'MisconceptionId,MisconceptionName\n7,"Adds, not multiplies"\n12, Forgets the sign \n'
    (folder / "misconception_mapping.csv").write_text(names)
    row = '1,5,Multiply,9,Numbers,B,"What is\n\\(2 \\times 3\\)?",5, 6 ,-6,1,7.0,,12.0,\n'
    (folder / "train.csv").write_text(HEADER + (train or row))
    (folder / "test.csv").write_text(HEADER + (test or row.replace("1,5,", "2,5,", 1)))
    return folder


def real(split: str, out: Path, **values: object) -> Converted:
    return convert_raw(SHARED_DATA / "eedi/raw_data" / split, out, "eedi", **EEDI | values)


def test_every_labelled_wrong_answer_is_a_query(tmp_path: Path) -> None:
    result = convert_raw(write_eedi(tmp_path / "eedi"), tmp_path / "out", "eedi", **EEDI)
    text = "Question: What is\n\\(2 \\times 3\\)?\nHint: Multiply\nCorrect answer: 6\nWrong answer: 5"
    assert result.queries() == {"1_A": text, "1_C": text.replace("r: 5", "r: -6")}
    assert list(result.queries("test")) == ["2_A", "2_C"]
    assert result.texts() == {"7": "Adds, not multiplies", "12": "Forgets the sign"}
    assert result.splits["train"].qrels["doc_id"].tolist() == ["7", "12"]
    assert result.statistics["dropped"] == {"wrong answer without a misconception": 2}


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("1,5,M,9,N,B,Q,5,6,7,8,x,,,\n", r"train.csv:2: expected a whole number as a misconception's id, got 'x'"),
        ("1,5,M,9,N,E,Q,5,6,7,8,7.0,,,\n", r"train.csv:2: CorrectAnswer: expected A, B, C or D, got 'E'"),
        ("1,5,M,9,N,B,Q,5,6,7,8,7.0,,\n", r"train.csv:2: expected 15 fields, got 14"),
    ],
)
def test_wrong_row_is_refused_with_its_line(train: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        convert_raw(write_eedi(tmp_path / "eedi", train), tmp_path / "out", "eedi", **EEDI)


def test_questions_of_a_construct_stay_together(tmp_path: Path) -> None:
    rows = [f"{n},{n % 10},M,9,N,B,Q{n},5,6,7,8,7.0,,,\n" for n in range(60)]
    raw = write_eedi(tmp_path / "eedi", "".join(rows))
    values = EEDI | {"dev": 0.3, "test": 0.0}
    constructs = {}
    for group_by in ("QuestionId", "ConstructId"):
        result = convert_raw(raw, tmp_path / group_by, "eedi", **values, group_by=group_by)
        found = [{int(name.split("_")[0]) % 10 for name in result.queries(split)} for split in ("train", "dev")]
        constructs[group_by] = found[0] & found[1]
    assert constructs["QuestionId"]
    assert not constructs["ConstructId"]
    (raw / "train.csv").write_text(HEADER.replace("ConstructId,", "") + rows[0].replace("0,0,", "0,", 1))
    with pytest.raises(InputError, match=r"train.csv:2: expected ConstructId, got the columns QuestionId"):
        convert_raw(raw, tmp_path / "out", "eedi", **values, group_by="ConstructId")


def test_groups_need_a_split_by_group(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="group_by: expected split_by: group beside it, got split_by: query"):
        convert_raw(
            write_eedi(tmp_path / "eedi"),
            tmp_path / "out",
            "eedi",
            **EEDI | {"split_by": "query"},
            group_by="ConstructId",
        )


def test_missing_column_is_named(tmp_path: Path) -> None:
    raw = write_eedi(tmp_path / "eedi")
    (raw / "train.csv").write_text("QuestionId\n1\n")
    with pytest.raises(InputError, match=r"train.csv:2: expected ConstructName, .* got the columns QuestionId"):
        convert_raw(raw, tmp_path / "out", "eedi", **EEDI)


@pytest.mark.slow
@real_data
@pytest.mark.parametrize(("split", "train", "test"), [("validation_v2", 2504, 1866), ("cross_validation", 3506, 864)])
def test_counts_of_the_real_splits(split: str, train: int, test: int, tmp_path: Path) -> None:
    result = real(split, tmp_path)
    assert result.counts() == {"train": (train, train), "test": (test, test)}
    assert len(result.corpus) == 2586
    assert result.statistics["dropped"]["equal text"] == 1


@pytest.mark.slow
@real_data
@pytest.mark.parametrize("rule", ["validation_v2", "cross_validation"])
def test_rule_draws_the_published_split_from_the_complete_file(rule: str, tmp_path: Path) -> None:
    drawn, given = real("", tmp_path / "drawn", rule=rule), real(rule, tmp_path / "given")
    for split in ("train", "test"):
        assert set(drawn.queries(split)) == set(given.queries(split))


@real_data
def test_submission_trains_on_every_labelled_pair(tmp_path: Path) -> None:
    assert real("", tmp_path, rule="submission", test=0.0).counts() == {"train": (4370, 4370)}


@pytest.mark.slow
@real_data
def test_leak_guard_finds_the_three_shared_queries(tmp_path: Path) -> None:
    result = real("cross_validation", tmp_path)
    leaks = pd.read_parquet(tmp_path / "leaks.parquet")
    exact = leaks[leaks["kind"] == "exact"]
    assert exact["text"].nunique() == 3
    assert result.statistics["leaks"]["exact"] == len(exact)
    assert result.statistics["splits"]["test"]["queries_also_in_train"] == 3


@pytest.mark.slow
@real_data
def test_queries_equal_the_published_ones(tmp_path: Path) -> None:
    published = SHARED_DATA / "eedi/embedder_train_eval_data/cross_validation/hn_mine_test_input.jsonl"
    expected = [json.loads(line)["query"] for line in published.read_text(encoding="utf-8").split("\n") if line]
    assert sorted(real("cross_validation", tmp_path).queries("test").values()) == sorted(expected)


def test_example_stands_before_the_instruction_of_test_queries(tmp_path: Path) -> None:
    rows = '1,5,Multiply,9,Numbers,B,"{x}?",5,6,-6,1,7.0,,,\n'
    others = "3,6,Add,9,Numbers,B,Add?,5,6,7,8,12.0,,,\n4,8,Draw,2,Shapes,B,Draw?,5,6,7,8,12.0,,,\n"
    raw = write_eedi(tmp_path / "eedi", rows + others, rows.replace("1,5,", "2,5,", 1))
    example = "<instruct>Name it.\n<query>{query}\n<response>{misconception}\n\n"
    values = EEDI | {"prompt": "<instruct>Name it.", "example": example}
    result = convert_raw(raw, tmp_path / "out", "eedi", **values)
    query = "Question: {x}?\nHint: Multiply\nCorrect answer: 6\nWrong answer: 5"
    expected = f"<instruct>Name it.\n<query>{query}\n<response>Adds, not multiplies\n\n<instruct>Name it."
    assert result.splits["test"].queries["prompt"].tolist() == [expected]
    assert set(result.splits["train"].queries["prompt"]) == {"<instruct>Name it."}
    assert result.statistics["examples"] == {"subject and construct": 1}
    assert "examples" not in convert_raw(raw, tmp_path / "off", "eedi", **values | {"example": None}).statistics


@pytest.mark.parametrize("example", ["{query}", "{query} {misconception} {answer}", "{query} {misconception.real}"])
def test_example_names_both_of_its_fields_and_no_others(example: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"convert.x.example: expected a text with {query} and {misconception}, got "):
        convert_raw(write_eedi(tmp_path / "eedi"), tmp_path / "out", "eedi", **EEDI | {"example": example})


@pytest.mark.slow
@real_data
def test_examples_of_the_real_data_are_training_queries_of_other_questions(tmp_path: Path) -> None:
    example = "{query}\n<response>{misconception}\n\n"
    result = real("", tmp_path, rule="validation_v2", example=example, dev=0.1)
    train = set(result.queries().values())
    for name in ("dev", "test"):
        own = result.splits[name].queries
        shown = own["prompt"].str.partition("\n<response>")[0]
        assert set(shown) <= train
        assert (shown != own["text"]).all()
    counts = result.statistics["examples"]
    assert sum(counts.values()) == sum(result.counts()[name][0] for name in ("dev", "test"))
    assert set(counts) == {"subject and construct", "subject", "any"}
