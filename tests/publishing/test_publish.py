"""A model is published with its verdict, or refused in one line."""

import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from retune.core.errors import InputError
from retune.core.files import write_json
from retune.core.provenance import Origin, write_origins
from tests.publishing.conftest import BASE, DATA, Publish, write_verdict


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_folder_holds_the_model_as_it_is_with_a_card_and_the_scores(project: Path, publish_it: Publish) -> None:
    published = contents(publish_it())
    model = contents(project / "models/tuned")
    added = {"README.md", "results/home.json", "results/far.json", "results/farther.json"}
    assert published.keys() == model.keys() | added
    assert {name: published[name] for name in model} == model


def test_second_publication_has_equal_bytes(project: Path, publish_it: Publish) -> None:
    first = contents(publish_it())
    (project / "published/tuned/stray").touch()
    assert contents(publish_it()) == first


def test_metadata_are_those_that_the_hub_reads(publish_it: Publish) -> None:
    data = ModelCard.load(publish_it() / "README.md").data
    assert (data.base_model, data.datasets, data.language) == ("org/base-model", ["home"], ["en", "de"])
    assert (data.library_name, data.pipeline_tag) == ("sentence-transformers", "sentence-similarity")
    assert (data.license, data.license_name) == ("other", "that-of-its-origins")  # Apache-2.0 and MIT
    assert "retune" in data.tags
    home = data.eval_results[0]
    assert (home.dataset_name, home.metric_type, home.metric_value) == ("home", "ndcg_at_10", 0.7)
    assert home.metric_args == {"confidence": 0.95, "interval": [0.7, 0.7], "queries": 40}
    assert [result.dataset_name for result in data.eval_results] == ["home", "far", "farther"]


def test_card_says_what_a_user_has_to_know(publish_it: Publish) -> None:
    text = ModelCard.load(publish_it(repo="org/tuned") / "README.md").text
    assert (
        "`tuned` compared with `base` by ndcg_at_10 on test queries: **improved**, +0.2000 on home (95 % conf" in text
    )
    assert "The gate passed. Required: a gain of at least 0.0 and a loss elsewhere of at most 0.02, at the" in text
    assert "- ≈ non-inferior: on a data set that the model was not tuned for, the interval rules out a loss" in text
    assert "withheld" not in text
    assert "| `tuned` | **0.7000 (+0.2000 ▲)** | 0.4000 (+0.0000 ≈) | 0.6000 (+0.0000 ≈) |" in text
    assert "| `epochs` | `2` |" in text
    assert "| `seed` | `13` |" in text  # of the section `seed`, as the entry has none
    assert 'SentenceTransformer("org/tuned")' in text
    assert "queries were cut to 32 tokens and documents to 48. sentence-transformers cuts both to 48." in text
    assert "| data | home | MIT | made for a test | any |" in text
    assert "24 dev queries of `home`" in text


def test_model_without_a_repository_is_loaded_from_its_folder(publish_it: Publish) -> None:
    assert 'SentenceTransformer("published/tuned")' in (publish_it() / "README.md").read_text()


def test_failed_gate_needs_force_and_stands_in_the_first_line(project: Path, publish_it: Publish) -> None:
    write_verdict(project, farther=0.5)
    with pytest.raises(InputError, match=r"got 'tuned': tuned on farther: lost 0.10000 .*; FORCE=1 publishes it all"):
        publish_it()
    assert not (project / "published").exists()
    text = ModelCard.load(publish_it(force="1") / "README.md").text
    assert text.lstrip().startswith("> **The gate failed: tuned on farther: lost 0.10000")


def test_project_without_a_gate_needs_force_too(project: Path, publish_it: Publish) -> None:
    write_verdict(project, gate=None)
    with pytest.raises(InputError, match=r"got 'tuned': there is no gate \(compare.gate is null\); FORCE=1 publishes"):
        publish_it()
    text = ModelCard.load(publish_it(force="1") / "README.md").text
    assert "There was no gate." in text
    assert "Required:" not in text


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("bm25", "'bm25', which is BM25 and has no weights"),
        ("base", "'base', which was not tuned here"),
        ("other", "'other', which is not in models"),
        ("unjudged", "'unjudged', which has no verdict; add it to eval.models and run dvc repro"),
        ("reranker", "'reranker', which is a cross-encoder and has no verdict of its own"),
        ("", "'', which is not in models"),
    ],
)
def test_other_models_are_refused_with_the_reason(model: str, reason: str, project: Path, publish_it: Publish) -> None:
    shutil.copytree(project / "models/tuned", project / "models/unjudged")
    write_json(project / "models/reranker/config.json", {"architectures": ["BertForSequenceClassification"]})
    with pytest.raises(InputError, match=r"one of the models that metrics/verdict.json judges \(tuned\)") as error:
        publish_it(model)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert not (project / "published").exists()


def test_data_and_bases_without_a_licence_are_named(project: Path, publish_it: Publish) -> None:
    nameless = [Origin("model", "base", "", "a folder", ""), Origin("data", "home", "unknown", "somewhere", "any")]
    written = Origin("synthetic queries", "made", "", "written by a model", "")
    write_origins(project / "models/tuned", [*nameless, written])
    with pytest.raises(InputError, match="got none of data 'home', model 'base'; state it"):
        publish_it()
    assert not (project / "published").exists()


def test_model_trained_against_a_licence_stays_here(project: Path, publish_it: Publish) -> None:
    forbidden = Origin("data", "far", "for evaluation alone", "somewhere", "training_against_licence")
    write_origins(project / "models/tuned", [BASE, DATA, forbidden])
    with pytest.raises(InputError, match="expected data that may be trained on, got far with use: training_against"):
        publish_it()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "adapter/weights.pkl", "modeling.py", "scope/vectors.npy"])
def test_file_that_could_run_code_is_refused(name: str, project: Path, publish_it: Publish) -> None:
    (project / "models/tuned" / name).parent.mkdir(exist_ok=True)
    (project / "models/tuned" / name).touch()
    with pytest.raises(InputError, match=f"models/tuned/{name}: expected only files with the endings .jinja, .json"):
        publish_it()
    assert not (project / "published").exists()


def test_model_without_weights_is_refused(project: Path, publish_it: Publish) -> None:
    (project / "models/tuned/model.safetensors").unlink()
    with pytest.raises(InputError, match="models/tuned: expected a model with safetensors, found none; run dvc"):
        publish_it()


def test_missing_data_leave_the_old_folder_as_it_was(project: Path, publish_it: Publish) -> None:
    before = contents(publish_it())
    (project / "data/datasets/home/dev/queries.parquet").unlink()
    with pytest.raises(InputError, match="home/dev/queries.parquet: expected a Parquet file, found none"):
        publish_it()
    assert contents(project / "published/tuned") == before
    assert [path.name for path in (project / "published").iterdir()] == ["tuned"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "90"}, "PRECISION: expected a share above 0 and up to 1, such as 0.9, got '90'"),
        ({"precision": "high"}, "PRECISION: expected a share above 0 and up to 1, such as 0.9, got 'high'"),
        ({"repo": "tuned"}, "REPO: expected organisation/name, got 'tuned'"),
        ({"base": "base"}, "BASE: expected organisation/name, got 'base'"),
    ],
)
def test_malformed_option_is_refused(options: dict[str, str], message: str, publish_it: Publish) -> None:
    with pytest.raises(InputError) as error:
        publish_it(**options)
    assert str(error.value) == message


@pytest.mark.parametrize("content", [{}, {"tuned_models": [{"model": "tuned"}]}, {"tuned_models": 3}])
def test_verdict_of_another_version_is_refused(content: dict, project: Path, publish_it: Publish) -> None:
    write_json(project / "metrics/verdict.json", {"measurements": []} | content)
    with pytest.raises(InputError, match=r"verdict.json: expected a verdict of this version of compare, got another"):
        publish_it()
