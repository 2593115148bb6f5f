"""Cross-encoders where a model must rank a corpus, and other models where a cross-encoder is expected."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from retune.check.project import Project
from retune.models.directory import is_cross_encoder
from retune.params.fetch import Entry, Fetch, Lexical
from retune.params.finetune import Finetune

OF_VECTORS = {  # by section, the fields that name an embedding model
    "finetune": ("base", "guide"),
    "synthesize": ("model",),
    "mine": ("model",),
    "merge": ("base", "tuned", "tuned_2"),
    "export": ("model",),
}
OF_RANKINGS = {"rerank": ("first_stage",), "fuse": ("first", "second"), "predict": ("model",)}  # a ranking is enough
VECTORS = "an embedding model"
COPYING = "none"  # the method whose model is of its base's kind


def wrong_kinds(project: Project) -> Iterator[str]:
    """Yield models of the wrong kind, as far as params.yaml tells their kinds."""
    embedders = {model: where for where, model, expected in _ranking_uses(project) if expected == VECTORS}
    for name, entry in project.rerank.items():
        if entry.reranker in embedders and entry.reranker not in project.cross_encoders:
            got = f"got {entry.reranker!r}, which {embedders[entry.reranker]} needs as an embedding model"
            yield f"rerank.{name}.reranker: expected a cross-encoder, {got}; name another in one of them"
    rerankers = {
        entry.reranker: f"the reranker of rerank.{name} and so a cross-encoder"
        for name, entry in project.rerank.items()
        if entry.reranker not in embedders
    }
    yield from _misplaced(project, rerankers | dict.fromkeys(project.cross_encoders, "a cross-encoder"))
    for name, entry in project.rerank.items():
        if kind := _other_kind(entry.reranker, project):
            yield f"rerank.{name}.reranker: expected a cross-encoder, got {entry.reranker!r}, {kind}; name another"


def wrong_kinds_of_files(project: Project) -> Iterator[str]:
    """Yield models of the wrong kind among those that are fetched from folders, as their files tell."""
    folders = {name: Path(entry.path) for name, entry in project.fetch.items() if _is_folder(entry) and entry.path}
    is_pair_scorer = {name: is_cross_encoder(folder) for name, folder in folders.items() if folder.is_dir()}
    yield from _misplaced(project, {name: "a cross-encoder" for name, is_one in is_pair_scorer.items() if is_one})
    for name, entry in project.rerank.items():
        if is_pair_scorer.get(entry.reranker) is False:
            got = f"got {entry.reranker!r}, an embedding model"
            yield f"rerank.{name}.reranker: expected a cross-encoder, {got}; name another"


def _is_folder(entry: Entry) -> bool:
    return isinstance(entry, Fetch) and entry.source == "path"


def _misplaced(project: Project, cross_encoders: Mapping[str, str]) -> Iterator[str]:
    """Yield cross-encoders, given with what shows that they are, where a model must rank a corpus."""
    for model in project.eval.models:
        if model in cross_encoders:
            yield (
                f"eval.models: expected models that rank a corpus, got {model!r}, {cross_encoders[model]}; name it "
                "as the reranker of an entry in rerank, and list that entry"
            )
    for where, model, expected in _ranking_uses(project):
        if model in cross_encoders:
            yield f"{where}: expected {expected}, got {model!r}, {cross_encoders[model]}; name another"


def _ranking_uses(project: Project) -> Iterator[tuple[str, str, str]]:
    """Yield the places, except `eval.models`, that need vectors or a ranking, the model named there, and what fits."""
    for section, fields in (OF_VECTORS | OF_RANKINGS).items():
        expected = VECTORS if section in OF_VECTORS else "a model that ranks a corpus"
        for name, entry in getattr(project, section).items():
            for field in fields:
                if section != "finetune" or _needs_vectors(project.finetune[name], field):
                    yield f"{section}.{name}.{field}", getattr(entry, field), expected


def _needs_vectors(model: Finetune, field: str) -> bool:
    """Return whether a base or a guide must have vectors: cross-encoders and copies are of their base's kind."""
    return model.method not in ("cross_encoder", COPYING) if field == "base" else model.needs_guide


def _other_kind(model: str, project: Project) -> str:
    """Return what a model is if params.yaml tells that it is no cross-encoder; otherwise an empty text."""
    if isinstance(project.fetch.get(model), Lexical):
        return "which is BM25"
    if model in project.systems:
        return "a system of two"
    tuned = project.finetune.get(model)
    if tuned is not None and tuned.method not in ("cross_encoder", COPYING):
        return f"an embedding model (finetune.{model}.method: {tuned.method})"
    if model in project.merge or model in project.export:
        return f"an embedding model ({'merge' if model in project.merge else 'export'}.{model})"
    return ""
