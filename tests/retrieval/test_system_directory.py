"""The directory of a system: what it holds, which models it takes, and who refuses it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.core.provenance import read_origins
from retune.encoding.encoder import Encoder
from retune.exporting.export import export
from retune.exporting.task import Task as Exporting
from retune.merging.weights import Mergeable
from retune.mining.inputs import load_models
from retune.models.directory import SYSTEM
from retune.params.export import Export
from retune.params.fuse import Fuse
from retune.params.rerank import Rerank
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.retrieval.system_directory import part_folders, read_system, write_fuse, write_rerank
from retune.training.finetune import finetune
from tests.support.parameters import COMPUTE, EXPORT
from tests.support.systems import write_bm25, write_cross_encoder
from tests.support.training_task import task

FUSE = Fuse(first="tiny", second="bm25", method="weighted", weights=[1.0, 0.5], depth=7)
RERANK = Rerank(first_stage="both", reranker="pairs", k=3)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file in a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def models(tiny_model: Path, tiny_transformer: Path, tmp_path: Path) -> Path:
    """A folder with an embedding model, BM25, a cross-encoder, a fusion, and that fusion reranked."""
    folder = tmp_path / "models"
    shutil.copytree(tiny_model, folder / "tiny")
    write_bm25(folder / "bm25")
    write_cross_encoder(tiny_transformer, folder / "pairs")
    write_fuse(FUSE, folder / "tiny", folder / "bm25", folder / "both")
    write_rerank(RERANK, folder / "both", folder / "pairs", folder / "reordered")
    return folder


def test_directory_holds_the_entry_and_both_models(models: Path) -> None:
    assert read_system(models / "both") == FUSE
    assert read_system(models / "reordered") == RERANK
    assert json.loads((models / "reordered" / SYSTEM).read_text()) == {
        "rerank": {"first_stage": "both", "reranker": "pairs", "k": 3}
    }
    for system, parts in (("both", ["tiny", "bm25"]), ("reordered", ["both", "pairs"])):
        assert part_folders(models / system) == [models / system / part for part in parts]
        for part in parts:
            assert contents(models / system / part) == contents(models / part)
        assert {path.name for path in (models / system).iterdir()} == {SYSTEM, "provenance.json", *parts}


def test_origins_are_those_of_all_models(models: Path) -> None:
    assert read_origins(models / "both") == read_origins(models / "tiny")
    assert read_origins(models / "reordered") == sorted(
        [*read_origins(models / "tiny"), *read_origins(models / "pairs")]
    )


def test_same_models_give_the_same_bytes(models: Path) -> None:
    before = contents(models / "reordered")
    write_rerank(RERANK, models / "both", models / "pairs", models / "reordered")
    assert contents(models / "reordered") == before


def test_directory_does_not_change_with_its_models(models: Path) -> None:
    before = contents(models / "both")
    for path in (models / "tiny").rglob("*.json"):
        path.write_text("{}")
    shutil.rmtree(models / "bm25")
    assert contents(models / "both") == before


def test_failure_leaves_the_old_directory(models: Path) -> None:
    before = contents(models / "both")
    (models / "tiny/provenance.json").unlink()
    with pytest.raises(InputError, match="tiny/provenance.json: expected origins and licences, found no such file"):
        write_fuse(FUSE, models / "tiny", models / "bm25", models / "both")
    assert contents(models / "both") == before
    assert not list(models.glob(".*"))


@pytest.mark.parametrize("place", ["first", "second"])
def test_cross_encoder_cannot_be_fused(place: str, models: Path) -> None:
    folders = {"first": models / "tiny", "second": models / "bm25"} | {place: models / "pairs"}
    with pytest.raises(
        InputError, match=r"pairs: expected an embedding model, got a cross-encoder; name it as mine.<na"
    ):
        write_fuse(FUSE, folders["first"], folders["second"], models / "out")
    assert not (models / "out").exists()


@pytest.mark.parametrize(
    ("first_stage", "reranker", "message"),
    [
        (
            "pairs",
            "pairs",
            "pairs: expected an embedding model, got a cross-encoder; name it as mine.<name>.scorer or r",
        ),
        ("tiny", "bm25", "bm25: expected a cross-encoder, got another model"),
        ("bm25", "tiny", "tiny: expected a cross-encoder, got another model"),
        ("bm25", "both", "both: expected one model, got a system of two; name one of them"),
        ("none", "pairs", "none/retune.json: expected a model written by fetch or finetune, found no such file; run"),
    ],
)
def test_reranking_takes_a_model_that_ranks_and_a_cross_encoder(
    first_stage: str, reranker: str, message: str, models: Path
) -> None:
    with pytest.raises(InputError, match=message):
        write_rerank(RERANK, models / first_stage, models / reranker, models / "out")
    assert not (models / "out").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"fuse": {}, "rerank": {}}', "too many values to unpack"),
        ('{"join": {}}', "'join'"),
        ('{"rerank": {"k": 3}}', "2 validation errors for Rerank"),
    ],
)
def test_broken_description_is_named(text: str, reason: str, models: Path) -> None:
    (models / "both" / SYSTEM).write_text(text)
    with pytest.raises(InputError) as caught:
        read_system(models / "both")
    line = f"{models / 'both' / SYSTEM}: expected a system, got: {reason}"
    assert str(caught.value).startswith(line)
    assert str(caught.value).endswith("; run the stage that writes it again")


def merge_system(models: Path) -> object:
    return Mergeable(models / "both", [models / "tiny"])


def merge_with_system(models: Path) -> object:
    return Mergeable(models / "tiny", [models / "both"])


def export_system(models: Path) -> object:
    work = task(models / "both", models.parent)  # writes a data set
    params = Export.parse("export.out", EXPORT | {"model": "both", "dataset": "dataset"})
    return export(Exporting(models / "both", work.dev, params, COMPUTE, seed=3), models / "out")


def train_system(models: Path) -> object:
    return finetune(task(models / "both", models.parent), models / "out", models / "out.tsv")


@pytest.mark.parametrize(
    "use",
    [
        merge_system,
        merge_with_system,
        export_system,
        train_system,
        lambda models: load_models(models / "both", models / "tiny", models, COMPUTE),
        lambda models: load_models(models / "tiny", models / "both", models, COMPUTE),
        lambda models: Encoder.load(models / "both", COMPUTE),
        lambda models: CrossEncoderScorer.load(models / "both", COMPUTE),
    ],
    ids=["merge.base", "merge.tuned", "export", "finetune.base", "mine.model", "mine.scorer", "encoder", "scorer"],
)
def test_system_is_refused_where_one_model_is_needed(use: Callable[[Path], object], models: Path) -> None:
    with pytest.raises(InputError, match="both: expected one model, got a system of two; name one of them"):
        use(models)
    assert not (models / "out").exists()
