"""What every layout has in common: equal bytes, a count of what is left out, and what is refused."""

import logging
from pathlib import Path

import numpy as np
import pytest

from retune import layouts
from retune.core import records
from retune.core.errors import InputError
from retune.layouts.contents import EQUAL_TEXTS
from retune.layouts.export import export, names
from tests.support.small_sets import a_split, export_small, mined_set, small_dataset, table


@pytest.mark.parametrize("layout", names())
def test_second_export_has_equal_bytes(layout: str, tmp_path: Path) -> None:
    records.write_dataset(tmp_path / "set", small_dataset())
    written = []
    for name in ("one", "two"):
        export(layout, tmp_path / "set", tmp_path / name)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        written.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert written[0] == written[1]


LEFT_OUT = {
    "flagembedding": {"titles (put before the texts)": 1},
    "beir": {"scores": 2},
    "rag_json": {"titles (put before the texts)": 1, "prompts": 1, "grades above 1 (written as 1)": 1, "scores": 2},
    "sentence_transformers": {
        "titles (put before the texts)": 1,
        "prompts": 1,
        "answers": 1,
        "grades above 1 (written as 1)": 1,
        "scores": 2,
        "ids": 6,
        "negatives beyond the number that every query has": 1,
        "documents in no row": 1,
    },
    "mteb": {"scores": 2},
}


@pytest.mark.parametrize("layout", names())
def test_what_a_layout_has_no_place_for_is_logged_with_its_count(
    layout: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="retune"):
        export_small(layout, tmp_path)
    expected = [f"{layout} has no place for {kind}: {count}" for kind, count in LEFT_OUT[layout].items()]
    assert caplog.messages == expected


def test_scores_of_a_query_that_has_them_for_some_documents_only_are_left_out_of_flagembedding(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = small_dataset()
    one = dataset.splits["train"].scores[:1]
    train = records.Split(dataset.splits["train"].queries, dataset.splits["train"].qrels, one)
    records.write_dataset(tmp_path / "set", records.Dataset(dataset.corpus, dataset.splits | {"train": train}))
    with caplog.at_level(logging.INFO, logger="retune"):
        export("flagembedding", tmp_path / "set", tmp_path / "out")
    assert "flagembedding has no place for scores of queries with unscored documents: 1" in caplog.messages
    assert "pos_scores" not in (tmp_path / "out" / "train.jsonl").read_text()


def test_source_of_mined_examples_is_logged_as_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records.write_mined(tmp_path / "set", mined_set())
    with caplog.at_level(logging.INFO, logger="retune"):
        export("beir", tmp_path / "set", tmp_path / "out")
    assert "no layout has a place for the source of mined examples: 2" in caplog.messages


def test_unknown_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"layout: expected one of beir, flagembedding, .*, got 'csv'"):
        export("csv", tmp_path, tmp_path / "out")


def test_folder_of_neither_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected corpus.parquet \(a converted set\) or examples.parquet"):
        export("beir", tmp_path, tmp_path / "out")


def test_folder_with_content_is_not_written_over(tmp_path: Path) -> None:
    records.write_dataset(tmp_path / "set", small_dataset())
    (tmp_path / "out").mkdir()
    export("beir", tmp_path / "set", tmp_path / "out")
    with pytest.raises(InputError, match=r"out: expected a new or empty folder, got one with content"):
        export("beir", tmp_path / "set", tmp_path / "out")


def test_set_without_queries_has_no_pairs_to_export(tmp_path: Path) -> None:
    empty = dict.fromkeys(records.SPLITS, records.empty_split())
    records.write_dataset(tmp_path / "set", records.Dataset(small_dataset().corpus, empty))
    with pytest.raises(InputError, match=r"sentence_transformers: expected queries in train, dev or test, got none"):
        export("sentence_transformers", tmp_path / "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_id_of_two_queries_is_refused(tmp_path: Path) -> None:
    dataset = small_dataset()
    splits = dataset.splits | {"test": dataset.splits["train"]}
    records.write_dataset(tmp_path / "set", records.Dataset(dataset.corpus, splits))
    with pytest.raises(InputError, match=r"expected each query_id once in all splits, got 'q1' twice"):
        export("beir", tmp_path / "set", tmp_path / "out")


def test_infinite_score_is_refused(tmp_path: Path) -> None:
    dataset = small_dataset()
    train = dataset.splits["train"]
    infinite = records.Split(train.queries, train.qrels, train.scores.assign(score=np.inf))
    records.write_dataset(tmp_path / "set", records.Dataset(dataset.corpus, dataset.splits | {"train": infinite}))
    with pytest.raises(InputError, match=r"expected finite scores"):
        export("flagembedding", tmp_path / "set", tmp_path / "out")


def test_documents_that_are_one_text_with_their_titles_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = table(
        [("d1", "The moon", "pulls"), ("d2", "The", "moon pulls"), ("d3", None, "salt")], *records.CORPUS.names
    )
    train = a_split([("q1", "why tides", None, None)], [("q1", "d1", 1), ("q1", "d2", 1), ("q1", "d3", 0)])
    splits = dict.fromkeys(records.SPLITS, records.empty_split()) | {"train": train}
    records.write_dataset(tmp_path / "set", records.Dataset(corpus, splits))
    counted = set()
    with caplog.at_level(logging.INFO, logger="retune"):
        for layout in names():
            export(layout, tmp_path / "set", tmp_path / layout)
            if f"{layout} has no place for {EQUAL_TEXTS}: 1" in caplog.messages:
                counted.add(layout)
    assert counted == {"flagembedding", "rag_json", "sentence_transformers"}  # the others keep titles apart


@pytest.mark.parametrize("content", [b"", b"no Parquet", b"PAR1 nothing PAR1"])
def test_damaged_file_is_refused_by_its_name(content: bytes, tmp_path: Path) -> None:
    records.write_dataset(tmp_path / "set", small_dataset())
    (tmp_path / "set" / "corpus.parquet").write_bytes(content)
    with pytest.raises(
        InputError, match=r"set/corpus.parquet: expected a Parquet file, got: .*; run the stage"
    ) as info:
        export("beir", tmp_path / "set", tmp_path / "out")
    assert "\n" not in str(info.value)


def test_folder_inside_a_file_is_refused(tmp_path: Path) -> None:
    records.write_dataset(tmp_path / "set", small_dataset())
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file/x: expected a folder that can be written, got: Not a directory"):
        export("beir", tmp_path / "set", tmp_path / "file" / "x")


def test_current_folder_is_refused_though_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records.write_dataset(tmp_path / "set", small_dataset())
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(InputError, match=r"\.: expected the name of a new folder"):
        export("beir", tmp_path / "set", Path("."))


def test_layout_is_one_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ids_only.py").write_text(
        "LACKS = ()\n\n\ndef write(dataset, folder):\n"
        "    (folder / 'ids').write_text(' '.join(dataset.corpus['doc_id']))\n    return {}\n"
    )
    monkeypatch.setattr(layouts, "__path__", [*layouts.__path__, str(tmp_path)])
    export_small("ids_only", tmp_path)
    assert (tmp_path / "out" / "ids").read_text() == "d1 d2 d3"
