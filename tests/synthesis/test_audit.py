"""The audit counts queries by kind and reason, and its samples are for people: they have texts."""

import json
from pathlib import Path

import pandas as pd
import pytest

from retune.core.provenance import Origin, read_origins, write_origins
from retune.core.records import Dataset, empty_split, read_table, write_dataset
from retune.params.synthesize import Synthesize
from retune.synthesis.audit import Outcome, audit, samples
from retune.synthesis.drafts import Draft, Rejected
from retune.synthesis.writing import origin
from stages import synthesize
from tests.support.parameters import COMPUTE, SYNTHESIZE
from tests.synthesis.test_generated import GENERATED
from tests.synthesis.test_synthesize import numbered

KEPT = [Draft(f"d{n}", "sentence", f"one two three {n}") for n in range(90)] + [Draft("d0", "title", "ab")]
REJECTED = [Rejected(f"d{n}", "sentence", f"rejected {n}", "too short") for n in range(90)]
REJECTED += [Rejected("d1", "title", "twice", "repeated query"), Rejected("d2", "any", "", "no reply: refused")]
OUTCOME = Outcome([*KEPT, Draft("d1", "title", "twice")], KEPT, REJECTED, documents=90, shown_in_part=2)
CORPUS = pd.DataFrame({"doc_id": [f"d{n}" for n in range(90)], "title": "On", "text": [f"text {n}" for n in range(90)]})
SPLITS = {f"d{n}": "train" if n else "test" for n in range(90)}


def test_audit_counts_by_kind_and_reason_and_measures_what_was_kept() -> None:
    found = audit(OUTCOME, {})
    assert found["documents"] == found["documents_with_queries"] == 90
    assert found["documents_shown_in_part"] == 2
    title = found["kinds"]["title"]
    assert (title["drafted"], title["kept"]) == (2, 1)
    assert title["length"]["characters"] == {"p0": 2, "p5": 2, "p50": 2, "p95": 2, "p100": 2}
    # "one two three 7" has four words and 15 characters; ten of 90 numbers have one digit, so the 5th percentile is 15
    assert found["kinds"]["sentence"]["length"]["words"]["p50"] == 4
    assert found["kinds"]["sentence"]["length"]["characters"] == {"p0": 15, "p5": 15, "p50": 16, "p95": 16, "p100": 16}
    assert found["rejected"] == {"too short": 90, "repeated query": 1, "no reply: refused": 1}
    assert found["language_models"] == {}


def test_kind_of_which_nothing_is_left_has_no_lengths() -> None:
    found = audit(Outcome([Draft("d0", "title", "ab")], [], [], 1, 0), {})
    assert found["kinds"] == {"title": {"drafted": 1, "kept": 0, "length": {"words": {}, "characters": {}}}}


def test_thirty_samples_lie_evenly_over_the_documents_and_rejects_have_their_reasons() -> None:
    table = samples(OUTCOME, CORPUS, SPLITS)
    kept, rejected = table[table["reason"] == ""], table[table["reason"] != ""]
    assert len(kept) == 30
    assert kept["kind"].iloc[-1] == "title"  # the one of its kind
    assert kept["doc_id"].iloc[:3].tolist() == ["d0", "d3", "d6"]  # 91 queries in 29 steps of about 3.1
    assert kept["split"].iloc[0] == "test"
    assert kept["document"].iloc[1] == "On text 3"
    assert rejected["reason"].tolist() == ["too short"] * 3 + ["repeated query"]  # no reply has no text to show
    assert rejected["query"].tolist() == ["rejected 0", "rejected 44", "rejected 89", "twice"]


def test_origin_says_who_wrote_the_queries() -> None:
    taken = origin("made", Synthesize.parse("synthesize.made", SYNTHESIZE))
    assert taken == Origin("synthetic queries", "made", "as the documents", "taken from the documents of words", "")
    written = origin("made", Synthesize.parse("synthesize.made", GENERATED))
    model = GENERATED["llm"]["model"]
    assert written == Origin("synthetic queries", "made", "", f"written by {model} for the documents of words", "")


def test_stage_writes_the_audit_without_texts_and_the_samples_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "words", tmp_path / "made"
    write_dataset(source, Dataset(numbered(40), {name: empty_split() for name in ("train", "dev", "test")}))
    write_origins(source, [Origin("data", "words", "MIT", "made for a test", "any")])
    params = Synthesize.parse("synthesize.made", SYNTHESIZE | {"dev": 0.1, "test": 0.2, "test_kinds": {"title": 1.0}})
    monkeypatch.setattr(synthesize.Synthesize, "read", lambda _: params)
    monkeypatch.setattr(synthesize.Compute, "read", lambda _: COMPUTE)
    monkeypatch.setattr(synthesize, "read_value", lambda _: 3)
    files = {name: tmp_path / f"{name}.json" for name in ("metrics", "lengths", "audit")}
    synthesize.main("made", dataset=source, model=tmp_path / "none", prompts=tmp_path / "none", out=out, **files)
    content = files["audit"].read_text()
    assert {kind: counts["kept"] for kind, counts in json.loads(content)["kinds"].items()} == {
        "sentence": 32,
        "title": 8,
    }
    assert "Document" not in content
    assert (out / "audit.json").read_text() == content
    assert "synthesis" not in json.loads(files["metrics"].read_text())
    table = read_table(out / "samples.parquet")
    assert len(table) == 30
    assert table["query"].str.contains("Document|It goes on|The end of").all()
    assert set(table["split"]) == {"train", "dev", "test"}
    assert [row.split("\t")[0] for row in files["lengths"].read_text().splitlines()[:3]] == ["percentile", "0", "1"]
    assert [item.kind for item in read_origins(out)] == ["data", "synthetic queries"]
