"""A merge from models and data sets on disk to a model, a card and a curve."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retune.core.errors import InputError
from retune.core.provenance import Origin, read_origins, write_origins
from retune.core.records import Dataset, Split, empty_split, write_dataset
from retune.merging import merge as merging
from retune.merging.merge import merge
from retune.merging.task import Task
from retune.models.directory import load_model
from retune.params.merge import Merge
from tests.merging.test_choice import AWAY, ENTRY, HOME
from tests.merging.test_weights import Tuned, state, tuned
from tests.support.parameters import COMPUTE

__all__ = ["tuned"]
WORDS = ["array", "matrix", "sum", "mean", "sort", "graph"]


def write_dev(folder: Path, queries: int = 6) -> Path:
    corpus = pd.DataFrame({"doc_id": WORDS, "title": None, "text": [f"the {word} of a node" for word in WORDS]})
    ids = [f"q{number}" for number in range(queries)]
    frame = pd.DataFrame({"query_id": ids, "text": WORDS[:queries], "prompt": None, "answer": None})
    qrels = pd.DataFrame({"query_id": ids, "doc_id": WORDS[:queries], "relevance": 1})
    splits = {"train": empty_split(), "dev": Split(frame, qrels), "test": empty_split()}
    write_dataset(folder, Dataset(corpus, splits))
    return folder


class Merging:
    """Merges the tiny model with one whose weights are larger by 0.4."""

    def __init__(self, folder: Path, base: Path, tuned_model: Path) -> None:
        self.folder, self.base, self.tuned = folder, base, tuned_model
        write_origins(tuned_model, [Origin("model", "tuned", "MIT", "here", "")])
        self.home, self.away = write_dev(folder / "home"), write_dev(folder / "away")
        self.out, self.curve = folder / "merged", folder / "curve.json"

    def run(self, **changed: object) -> dict[str, Any]:
        params = Merge.parse("merge.x", ENTRY | changed)
        merge(Task(self.base, [self.tuned], [self.home, self.away], params, COMPUTE, 3), self.out, self.curve)
        return json.loads(self.curve.read_text())


@pytest.fixture
def project(tmp_path: Path, tiny_model: Path, tuned: Tuned) -> Merging:
    return Merging(tmp_path, tiny_model, tuned(0.4))


def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score each candidate as HOME and AWAY say, whatever it is."""
    monkeypatch.setattr(merging, "SEARCHED", tuple(HOME))
    scores = iter([value for weight in HOME for value in (HOME[weight], AWAY[weight])])
    monkeypatch.setattr(merging, "_score", lambda *_: np.full(6, next(scores)))


def test_search_writes_the_model_of_the_weight_it_chooses(project: Merging, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch)
    assert project.run()["weight"] == 0.5
    merged, base, tuned_model = (state(folder) for folder in (project.out, project.base, project.tuned))
    name = next(name for name, values in base.items() if values.is_floating_point())
    assert np.allclose(merged[name], (base[name] + tuned_model[name]) / 2, atol=2e-3)
    card = (project.out / "model-card.md").read_text()
    assert "The weighted mean of `tiny` (0.5) and `tuned_0.4` (0.5)." in card
    assert "| 0.5 | +0.2000 | -0.0500 | chosen |" in card
    assert "| 1 | +0.3000 | -0.2000 | below the margin |" in card
    assert {origin.name for origin in read_origins(project.out)} >= {"tuned"}


def test_margin_that_nothing_meets_leaves_the_base_and_says_so(
    project: Merging, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scripted(monkeypatch)
    assert project.run(margin=0.01)["weight"] == 0.0
    assert (
        "the merged model is the base itself: every other weight loses more than 0.01 on a guard (rule po"
        in caplog.text
    )
    base, merged = state(project.base), state(project.out)
    assert all((base[name] == merged[name]).all() for name in base)


def test_fixed_weight_that_loses_too_much_is_written_and_named(
    project: Merging, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.6, 0.7, 0.4, 0.8, 0.3])  # home and away at weights 0, 0.004 and 1
    monkeypatch.setattr(merging, "_score", lambda *_: np.full(6, next(scores)))
    assert project.run(weight=0.004)["weight"] == 0.004
    assert "weight 0.004: a guard falls by more than 0.1" in caplog.text
    assert "| 0.004 | +0.2000 | -0.2000 | chosen, below the margin |" in (project.out / "model-card.md").read_text()


def test_killed_merge_leaves_nothing_behind(project: Merging, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(merging, "_score", stop)
        with pytest.raises(KeyboardInterrupt):
            project.run()
    assert not project.out.exists()
    project.run(weight=0.5)
    assert [path.name for path in project.folder.iterdir() if "merging" in path.name] == []


def test_real_scores_are_those_of_the_models(project: Merging, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    content = project.run(weight=1.0)
    assert [row["weight"] for row in content["curve"]] == [0.0, 1.0]
    assert content["weight"] == 1.0
    texts = [f"the {word} of a node" for word in WORDS]
    hits = []
    for folder in (project.base, project.tuned):
        model = load_model(folder, "cpu")
        ranks = np.argsort(-model.encode_query(WORDS) @ model.encode_document(texts).T, axis=1)
        places = [list(row).index(number) for number, row in enumerate(ranks)]
        hits.append(np.mean([1 / np.log2(place + 2) for place in places]))
    assert content["gain"] == pytest.approx(hits[1] - hits[0], abs=2e-2)
    assert "queries needed for the bound" in caplog.text


@pytest.mark.slow
def test_same_inputs_give_the_same_bytes(project: Merging) -> None:
    project.run()
    files = {path: path.read_bytes() for path in [project.curve, *project.out.rglob("*")] if path.is_file()}
    project.run()
    assert all(path.read_bytes() == content for path, content in files.items())


def test_few_documents_are_ranked_with_the_judged(project: Merging, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    evaluate = merging.evaluate
    monkeypatch.setattr(merging, "evaluate", lambda *given: sizes.append(len(given[1])) or evaluate(*given))
    write_dev(project.home, queries=3)
    project.run(weight=1.0, documents=2)
    assert sizes == [5, 6, 5, 6]  # 3 judged and 2 others at home, all 6 judged away


def test_guard_without_dev_queries_is_named(project: Merging) -> None:
    write_dev(project.away, queries=1)
    with pytest.raises(InputError, match="away: expected at least two dev queries, got 1; raise convert.away.dev"):
        project.run()
    assert not project.out.exists()
