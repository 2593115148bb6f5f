"""The pages about speed show the figures of benchmarks/results."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import tables
from tests.support.repository import REPOSITORY

HARDWARE = {"processor": "AMD EPYC", "cores": 2, "amx": False, "avx512_bf16": True, "accelerator": None}
PAGE = "Before.\n\n<!-- table: speed -->\nold\n<!-- end -->\n\nAfter.\n"


def _case(name: str, ours: float, peer: float | None = None, ratio: float | None = None, unit: str = "s") -> dict:
    return {"name": name, "ours": ours, "peer": peer, "ratio": ratio, "unit": unit}


def _write(folder: Path, *cases: dict[str, Any]) -> None:
    (folder / "speed.json").write_text(json.dumps({"hardware": HARDWARE, "versions": {}, "cases": cases}))


@pytest.mark.parametrize("path", tables.PAGES)
def test_page_shows_the_committed_results(path: Path) -> None:
    page = (REPOSITORY / path).read_text(encoding="utf-8")
    current = tables.render(page, REPOSITORY / tables.RESULTS)
    assert current == page, f"{path} is not current: run python -m benchmarks.tables"
    assert page.count("<!-- table: ") == page.count("<!-- end -->") == len(tables.TABLE.findall(page)) >= 1


def test_peers_are_columns_with_their_ratio_and_the_text_around_stays(tmp_path: Path) -> None:
    _write(
        tmp_path,
        _case("encode_vs_sentence_transformers", 391.3, 87.85, 4.454, "texts/s"),
        _case("encode_vs_flagembedding", 391.3, 40.1, 9.757, "texts/s"),
        _case("encode_memory_vs_sentence_transformers", 0.933, 0.9526, 1.021, "GB"),
        _case("encode_ndcg_difference", 0.29951, 0.30041, None, "nDCG@10, nfcorpus"),
    )
    assert tables.render(PAGE, tmp_path).splitlines() == [
        "Before.",
        "",
        "<!-- table: speed -->",
        "| 2 cores of AMD EPYC, AVX512-BF16 without AMX | retune | sentence-transformers | FlagEmbedding |",
        "| --- | ---: | ---: | ---: |",
        "| texts per second | 391 | 87.8 (4.45) | 40.1 (9.76) |",
        "| peak GB | 0.93 | 0.95 (1.02) |  |",
        "| nDCG@10 on nfcorpus | 0.2995 | 0.3004 |  |",
        "<!-- end -->",
        "",
        "After.",
    ]


def test_what_has_no_peer_has_a_column_per_measure(tmp_path: Path) -> None:
    _write(
        tmp_path,
        _case("growth first mine of 10,000 documents time", 503.88),
        _case("growth first mine of 10,000 documents peak memory", 1.0, unit="GB"),
        _case("growth first mine, seconds a document, 10,000 to 100,000", 1.11, unit="1 is linear"),  # not shown
    )
    assert tables.render(PAGE, tmp_path).splitlines()[3:6] == [
        "| 2 cores of AMD EPYC, AVX512-BF16 without AMX | seconds | peak GB |",
        "| --- | ---: | ---: |",
        "| first mine of 10,000 documents | 504 | 1.00 |",
    ]


def test_unknown_quantity_and_peer_are_shown_under_their_own_names(tmp_path: Path) -> None:
    _write(tmp_path, _case("sort_vs_other", 1.0, 20000.0, 20000.0), _case("heat", 3.0, unit="K"))
    assert tables.table(tmp_path / "speed.json").splitlines()[0].endswith("| retune | other |")
    assert tables.table(tmp_path / "speed.json").splitlines()[2:] == [
        "| sort, s | 1.00 | 20,000 (20,000) |",
        "| heat, K | 3.00 |  |",
    ]


def test_dev_scores_of_two_peers_share_a_row_with_the_wider_spread(tmp_path: Path) -> None:
    _write(
        tmp_path,
        _case("train_dev_vs_sentence_transformers", 0.25896, 0.25772, unit="dev ndcg_at_10, differ by up to 0.0043"),
        _case("train_dev_vs_flagembedding", 0.25896, 0.25568, unit="dev ndcg_at_10, differ by up to 0.0044"),
    )
    row = "| dev ndcg_at_10, differ by up to 0.0044 | 0.2590 | 0.2577 | 0.2557 |"
    assert tables.table(tmp_path / "speed.json").splitlines()[2:] == [row]


def test_check_fails_until_the_page_is_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    _write(tmp_path, _case("heat", 3.0, unit="K"))
    monkeypatch.setattr(tables, "PAGES", [page])
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["tables", "--check"])
    with pytest.raises(SystemExit, match="run python -m benchmarks.tables"):
        tables.main()
    assert page.read_text() == PAGE
    monkeypatch.setattr(sys, "argv", ["tables"])
    tables.main()
    monkeypatch.setattr(sys, "argv", ["tables", "--check"])
    tables.main()
    assert "| heat, K | 3.00 |" in page.read_text()


def test_table_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="speed.json: expected the results of a benchmark, found no file"):
        tables.render(PAGE, tmp_path)
