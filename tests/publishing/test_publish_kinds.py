"""Each kind of model is published as what it is, and loads as its card says."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard
from ruamel.yaml import YAML
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from retune.comparison.lineage import TunedModel
from retune.core.errors import InputError
from retune.core.provenance import write_origins
from retune.core.records import read_corpus
from retune.encoding.encoder import Encoder
from retune.encoding.fingerprint import base_hash
from retune.exporting.export import export
from retune.exporting.task import Task
from retune.models.scope import QUERY_MODEL, SCOPE, VECTORS, Scope, corpus_hash, read_addition, write_scope
from retune.params.export import Export
from tests.publishing.conftest import BASE, Publish, write_verdict
from tests.support.parameters import COMPUTE, EXPORT
from tests.support.repository import REPOSITORY

TEXTS = ["a query", "a document"]


def run_card(folder: Path) -> dict[str, Any]:
    """Run the Python of a card, and return its variables."""
    text = ModelCard.load(folder / "README.md").text
    names: dict[str, Any] = {}
    exec(re.search(r"```python\n(.*?)```", text, flags=re.DOTALL)[1], names)
    return names


def judge_scores(project: Path, model: str) -> None:
    shutil.copytree(project / "metrics/eval/tuned", project / "metrics/eval" / model)


def test_tuned_model_loads_as_its_card_says(project: Path, publish_it: Publish) -> None:
    names = run_card(publish_it())
    model = Encoder.load(project / "models/tuned", COMPUTE)
    np.testing.assert_allclose(names["queries"], model.encode_queries(TEXTS[:1], [None]), atol=1e-5)
    np.testing.assert_allclose(names["documents"], model.encode_documents(TEXTS[1:]), atol=1e-5)
    assert names["scores"].shape == (1, 1)


@pytest.mark.parametrize("force", ["", "1"])
def test_system_is_not_published(force: str, project: Path, publish_it: Publish) -> None:
    write_verdict(project, more={"both": TunedModel("base", "home", (), {}, is_system=True)})
    with pytest.raises(
        InputError, match="publish: expected one model, got 'both', a system of two; publish one of the"
    ):
        publish_it("both", force=force)


@pytest.fixture
def runtime() -> None:
    pytest.importorskip("onnxruntime", reason="needs requirements-export.txt")


@pytest.fixture
def exported(project: Path, request: pytest.FixtureRequest) -> str:
    """An export of `tuned`, with a verdict."""
    params = Export.parse("export.deployed", EXPORT | {"model": "tuned", "dataset": "home"} | request.param)
    export(
        Task(project / "models/tuned", project / "data/datasets/home", params, COMPUTE, 3), project / "models/deployed"
    )
    judge_scores(project, "deployed")
    model = TunedModel("tuned", "home", (), params.model_dump(mode="json"), is_export=True)
    write_verdict(project, more={"deployed": model})
    return "deployed"


HALF = {"format": "safetensors", "dtype": "float16"}
SHORT = HALF | {"dims": 8}


@pytest.mark.slow
@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("exported", [HALF], indirect=True)
def test_export_has_its_verdict_and_that_of_its_model(exported: str, publish_it: Publish) -> None:
    card = ModelCard.load(publish_it(exported) / "README.md")
    assert "`tuned` in float16 (safetensors).\n\n`tuned`: `base`, tuned for `home` with retune." in card.text
    assert (
        "`deployed` compared with `tuned` by ndcg_at_10 on test queries: **non-inferior**, +0.0000 on home" in card.text
    )
    assert "Required: non-inferior on every data set." in card.text
    assert "`tuned` compared with `base` by ndcg_at_10 on test queries: **improved**, +0.2000 on home" in card.text
    assert "Cosines shift with an export: a threshold that was chosen for `tuned` needs" in card.text
    assert "| `dtype` | `'float16'` |" in card.text
    assert "| `epochs` | `2` |" in card.text
    assert (card.data.base_model, card.data.datasets) == ("org/base-model", ["home"])
    assert (card.data.library_name, card.data.eval_results[0].metric_value) == ("sentence-transformers", 0.7)


@pytest.mark.slow
@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("exported", [SHORT], indirect=True)
def test_shortened_export_loads_as_its_card_says(exported: str, project: Path, publish_it: Publish) -> None:
    names = run_card(publish_it(exported))
    assert names["queries"].shape == (1, 8)
    model = Encoder.load(project / "models/deployed", COMPUTE)
    found = np.concatenate([names["queries"], names["documents"]]).astype(np.float32)
    np.testing.assert_allclose(found, model.encode_documents(TEXTS), atol=2e-3)  # float16
    assert "in float16 (safetensors), cut to 8 dimensions." in (project / "published/deployed/README.md").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("exported", [{"format": "onnx", "dtype": "int8", "dims": 8}], indirect=True)
def test_export_in_onnx_runs_without_retune_as_its_card_says(
    runtime: None, exported: str, project: Path, publish_it: Publish
) -> None:
    folder = publish_it(exported)
    card = ModelCard.load(folder / "README.md")
    assert (card.data.library_name, card.data.tags[0]) == ("onnx", "onnx")
    assert "sentence-transformers" not in card.data.tags
    assert sorted(path.name for path in folder.rglob("*") if path.suffix in (".onnx", ".safetensors")) == [
        "model.onnx",
        "model.safetensors",  # of the cut
    ]
    encode = run_card(folder)["encode"]
    model = Encoder.load(project / "models/deployed", COMPUTE)
    np.testing.assert_allclose([encode(text, 48) for text in TEXTS], model.encode_documents(TEXTS), atol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("exported", [HALF], indirect=True)
def test_export_is_refused_if_it_or_its_model_failed(exported: str, project: Path, publish_it: Publish) -> None:
    content = json.loads((project / "metrics/verdict.json").read_text())
    params = next(row["parameters"] for row in content["tuned_models"] if row["model"] == exported)
    more = {exported: TunedModel("tuned", "home", (), params, is_export=True)}
    write_verdict(project, more=more, lost=0.1)
    with pytest.raises(InputError, match="passes the gate, got 'deployed': deployed on home: lost 0.10000"):
        publish_it(exported)
    write_verdict(project, more=more, farther=0.5)
    with pytest.raises(InputError, match="passes the gate, got 'tuned': tuned on farther: lost 0.10000"):
        publish_it(exported)
    text = ModelCard.load(publish_it(exported, force="1") / "README.md").text
    assert text.lstrip().startswith("> **The gate failed: tuned on farther: lost 0.10000")


@pytest.mark.slow
@pytest.mark.usefixtures("forks")
def test_export_of_a_base_has_one_verdict(project: Path, publish_it: Publish) -> None:
    params = Export.parse("export.half", EXPORT | {"model": "base", "dataset": "home"} | HALF)
    export(Task(project / "models/base", project / "data/datasets/home", params, COMPUTE, 3), project / "models/half")
    judge_scores(project, "half")
    model = TunedModel("base", "home", (), params.model_dump(mode="json"), is_export=True)
    write_verdict(project, more={"half": model}, lost=0.2)
    card = ModelCard.load(publish_it("half") / "README.md")
    assert "\n\n`base` in float16 (safetensors).\n\n## Verdict" in card.text
    assert (card.data.base_model, card.data.datasets, card.data.license) == ("org/base-model", None, "apache-2.0")


def test_merged_model_has_its_weight(project: Path, publish_it: Publish) -> None:
    shutil.copytree(project / "models/tuned", project / "models/merged")
    judge_scores(project, "merged")
    params = {"base": "base", "tuned": "tuned", "tuned_2": "tuned", "weight": "search", "metric": "ndcg_at_10"}
    write_verdict(project, more={"merged": TunedModel("base", "home", (), params, merged_from=("tuned",))})
    text = ModelCard.load(publish_it("merged") / "README.md").text
    assert "The weighted mean of `base` (0.25) and `tuned` (0.75), tuned from it for `home` with retune." in text
    assert "| `weight` | `'search'` |" in text
    assert "Those of `tuned`; the others are off:\n\n| parameter | value |\n| --- | --- |\n| `epochs` | `2` |" in text


def test_model_merged_from_one_without_a_verdict_has_its_parameters(project: Path, publish_it: Publish) -> None:
    shutil.copytree(project / "models/tuned", project / "models/merged")
    judge_scores(project, "merged")
    params = {"base": "base", "tuned": "unlisted", "tuned_2": "unlisted", "weight": 0.75}
    write_verdict(project, more={"merged": TunedModel("base", "home", (), params, merged_from=("unlisted",))})
    entry = {"base": "base", "data": "home", "dev": "home", "guide": "base"}
    shutil.copy(REPOSITORY / "params.yaml", "params.yaml")
    settings = YAML(typ="safe").load(Path("params.yaml"))
    Path("params.yaml").write_text(json.dumps(settings | {"finetune": {"unlisted": entry}, "merge": {}}))
    text = ModelCard.load(publish_it("merged") / "README.md").text
    assert "Those of `unlisted`; the others are off:" in text
    assert "| `learning_rate` | `0.0001` |" in text


def scoped(project: Path, *, everywhere: bool) -> Path:
    """Make `tuned` a model for one data set, whose directory is the base."""
    folder = project / "models/tuned"
    scope = Scope(dataset="home", everywhere=everywhere, corpus="", base=base_hash(folder))
    write_scope(folder, scope.model_copy(update={"corpus": corpus_hash(read_corpus(project / "data/datasets/home"))}))
    return folder


@pytest.mark.parametrize("everywhere", [False, True])
def test_sides_of_a_query_tower_are_published_apart(everywhere: bool, project: Path, publish_it: Publish) -> None:
    folder = scoped(project, everywhere=everywhere)
    query_model = folder / SCOPE / QUERY_MODEL
    shutil.copytree(project / "models/base", query_model)
    weights = load_file(query_model / "model.safetensors")
    save_file({name: values + 0.1 for name, values in weights.items()}, query_model / "model.safetensors")
    published = publish_it()
    assert {path.name for path in published.iterdir()} == {
        "README.md", "documents", "provenance.json", "queries", "results",
    }  # fmt: skip
    assert not list(published.rglob(SCOPE))
    names = run_card(published)
    home = project / "data/datasets/home"
    encoder = Encoder.load(folder, COMPUTE, addition=read_addition(folder, "home", read_corpus(home)))
    np.testing.assert_allclose(names["queries"], encoder.encode_queries(TEXTS[:1], [None]), atol=1e-5)
    np.testing.assert_allclose(names["documents"], encoder.encode_documents(TEXTS[1:]), atol=1e-5)
    assert not np.allclose(names["queries"], names["document_model"].encode_query(TEXTS[:1]), atol=1e-3)
    text = (published / "README.md").read_text()
    assert "`base` for documents, and a model for queries that was tuned from it for `home`" in text
    assert "- `documents/` encodes documents. It is `base`, unchanged" in text
    assert "- `queries/` encodes queries for `home`." in text
    assert ("the scores on those data sets are the scores of `base`" in text) is not everywhere


def test_query_tower_is_loaded_from_its_repository(project: Path, publish_it: Publish) -> None:
    folder = scoped(project, everywhere=True)
    shutil.copytree(project / "models/base", folder / SCOPE / QUERY_MODEL)
    text = (publish_it(repo="org/tower") / "README.md").read_text()
    assert 'folder = snapshot_download("org/tower")\nquery_model = SentenceTransformer(f"{folder}/queries")' in text
    with pytest.raises((OSError, ValueError)):
        SentenceTransformer("published/tuned", local_files_only=True)  # neither side passes for the whole


def test_moved_document_vectors_are_refused(project: Path, publish_it: Publish) -> None:
    folder = scoped(project, everywhere=False)
    np.save(folder / SCOPE / VECTORS, np.zeros((2, 2), dtype=np.float32))
    with pytest.raises(
        InputError, match="its base with moved document vectors, which fit no other corpus; publish the"
    ):
        publish_it(force="1")
    assert not (project / "published").exists()


def test_base_that_was_not_fetched_from_the_hub_may_be_named(publish_it: Publish) -> None:
    card = ModelCard.load(publish_it(base="org/original") / "README.md")
    assert card.data.base_model == "org/original"
    assert "at 0123; https://huggingface.co/org/original |" in card.text


def test_base_that_is_not_known_to_be_on_the_hub_is_reported(
    project: Path, publish_it: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    write_origins(project / "models/base", [replace(BASE, source="a_package")])
    assert ModelCard.load(publish_it() / "README.md").data.base_model == "base"
    assert "base_model: base was not fetched from the Hub; BASE=organisation/name names it" in caplog.messages
