"""What `make repro` will do, and about how long that takes on this machine."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retune.check.project import Project
from retune.comparison import lineage
from retune.models.directory import first_module
from retune.models.size import count_parameters
from retune.params.convert import Convert
from retune.params.fetch import Lexical
from retune.params.merge import SEARCHED
from retune.starting.cost import MINILM_PARAMETERS, TRAINING_FACTOR, Rate, Size, size_of, training_tokens
from retune.starting.planned import Task, names_of, sentence, time_of
from retune.starting.survey import Survey

START_S = {
    "fetch": 8.0, "convert": 8.0, "synthesize": 5.0, "mine": 9.0, "mix": 4.0, "finetune": 20.0, "merge": 8.0,
    "export": 20.0, "rerank": 3.0, "fuse": 3.0, "eval": 8.0,
}  # fmt: skip
COMPARE_S = 8.0
RECORDS_PER_SECOND = 4000.0  # of conversion
SYNTHETIC_CHARACTERS = 80.0  # of a query
DISTILLED_TOKENS = 100_000  # a vocabulary of 30,000, each token between two special ones


@dataclass(frozen=True)
class Workspace:
    """Folders that stages write to."""

    data: Path
    models: Path
    metrics: Path


class Plan:
    """The stages without output, and their time."""

    def __init__(self, project: Project, workspace: Workspace, rate: Rate, surveyed: Mapping[str, Survey]) -> None:
        """Look for the outputs of all stages.

        Args:
            project: The checked parameters.
            workspace: Where the outputs are.
            rate: The speed of this machine.
            surveyed: What was counted in data sets that are not converted yet.
        """
        self._project, self._workspace, self._rate = project, workspace, rate
        self._sizes = {name: _size(survey, project.convert[name]) for name, survey in surveyed.items()}
        self._is_least = not all(survey.is_whole for survey in surveyed.values())
        self.tasks = list(self._missing())

    def describe(self, new: Iterable[str]) -> list[str]:
        """Return lines that say what runs for new entries, what else runs, and how long each takes here."""
        names = set(new)
        mine = [task for task in self.tasks if names & set(task.of) or task.stage == "fetch"]
        others = [task for task in self.tasks if task not in mine]
        minutes = time_of(mine, COMPARE_S, is_least=self._is_least)
        lines = [f"make repro will {sentence(mine)}: {minutes} here ({self._rate.description})"]
        if others:
            lines.append(
                f"it also runs entries that have no output yet ({names_of(others)}): {time_of(others)} more; delete "
                "those that you do not need from params.yaml"
            )
        return lines

    def _missing(self) -> Iterator[Task]:
        project, data, models = self._project, self._workspace.data, self._workspace.models
        outputs: dict[str, tuple[Iterable[str], Path]] = {
            "fetch": (project.fetch, models),
            "convert": (project.convert, data / "datasets"),
            "synthesize": (project.synthesize, data / "datasets"),
            "mine": (project.mine, data / "mined"),
            "mix": (project.mix, data / "mined"),
            "finetune": (project.finetune, models),
            "merge": (project.merge, models),
            "export": (project.export, models),
            "rerank": (project.rerank, models),
            "fuse": (project.fuse, models),
        }
        for stage, (entries, folder) in outputs.items():
            for name in entries:
                if not (folder / name).exists():
                    yield Task(stage, (name,), self._seconds(stage, name))
        for model in project.eval.models:
            for dataset in project.eval.datasets:
                if not (data / "scores" / model / f"{dataset}.parquet").exists():
                    yield Task("eval", (model, dataset), self._evaluation(model, dataset))

    def _seconds(self, stage: str, name: str) -> float | None:
        """Return the time of a stage that is not an evaluation."""
        start, rate = START_S[stage], self._rate.fast
        match stage:
            case "convert":
                size = self._size(name)
                return None if size is None else start + size.records / RECORDS_PER_SECOND
            case "mine":
                recipe = self._project.mine[name]
                size = self._size(recipe.dataset)
                return None if size is None else start + size.encoding("train") * self._factor(recipe.model) / rate
            case "finetune":
                return self._training(name)
            case "merge":
                return self._merging(name)
            case "export":
                return self._exporting(name)
            case "synthesize" if self._project.synthesize[name].method == "llm":
                return None  # the language model's time is not known
            case _:
                return start

    def _training(self, name: str) -> float | None:
        """Return the time of a training and of its dev scores, the base's among them."""
        model, rate = self._project.finetune[name], self._rate.fast
        used = lineage.recipes(model.data, self._project.mine, self._project.mix)
        sizes = [self._size(self._project.mine[recipe].dataset) for recipe in used]
        dev = self._size(model.dev)
        if model.method == "none":
            return START_S["finetune"]
        if dev is None or None in sizes or model.method == "cross_encoder":  # whose pairs are not counted
            return None
        epochs = 0 if model.method == "nudge" or model.head else model.all_epochs  # those learn from vectors
        tokens = sum(
            training_tokens(size, epochs=epochs, hard_negatives=model.hard_negatives) for size in sizes if size
        )
        scored = (epochs + 1) * dev.encoding("dev")
        return START_S["finetune"] + self._factor(model.base) * (TRAINING_FACTOR * tokens + scored) / rate

    def _merging(self, name: str) -> float | None:
        """Return the time to score every weight on the dev sets."""
        entry = self._project.merge[name]
        sizes = [self._size(dataset) for dataset in (entry.dev, *entry.guards)]
        if None in sizes:
            return None
        weights = len(SEARCHED) if entry.weight == "search" else 3
        tokens = sum(size.encoding("dev") for size in sizes if size)  # of whole corpora, so at most
        return START_S["merge"] + weights * tokens * self._factor(entry.base) / self._rate.fast

    def _exporting(self, name: str) -> float | None:
        """Return the time to encode the parity texts with the model and with the export, or a vocabulary to distil."""
        entry = self._project.export[name]
        size = self._size(entry.dataset)
        if size is None:
            return None
        tokens = float(DISTILLED_TOKENS)
        if entry.parity is not None:
            tokens = 2 * entry.parity.texts * size.document_tokens  # queries are shorter, so at most
        return START_S["export"] + tokens * self._factor(entry.model) / self._rate.exact

    def _evaluation(self, model: str, dataset: str) -> float | None:
        size = self._size(dataset)
        if size is None:
            return None
        return START_S["eval"] + self._ranking(model, size) / self._rate.exact

    def _ranking(self, model: str, size: Size) -> float:
        """Return the tokens that MiniLM would encode in the time in which a model ranks for the test queries."""
        if isinstance(self._project.fetch.get(model), Lexical):
            return 0.0
        if fusion := self._project.fuse.get(model):
            return sum(self._ranking(part, size) for part in fusion.parts)
        if entry := self._project.rerank.get(model):
            pairs = entry.k * size.queries.get("test", 0)
            read = pairs * (size.query_tokens + size.document_tokens) * self._factor(entry.reranker)
            return self._ranking(entry.first_stage, size) + read
        return size.encoding("test") * self._factor(model)

    def _size(self, dataset: str) -> Size | None:
        """Return the size of a data set: as counted, or as its metrics say, or that of the one it is made from."""
        if dataset in self._sizes:
            return self._sizes[dataset]
        if size := _size_in(self._workspace.metrics / "data" / f"{dataset}.json"):
            return size
        synthetic = self._project.synthesize.get(dataset)
        source = self._size(synthetic.dataset) if synthetic else None
        if synthetic is None or source is None:
            return None
        queries = min(source.documents, synthetic.documents or source.documents) * synthetic.queries_per_document
        held_out = {"dev": queries * synthetic.dev, "test": queries * synthetic.test}
        splits = held_out | {"train": queries - sum(held_out.values())}
        return Size(source.documents, source.document_tokens, splits, SYNTHETIC_CHARACTERS / 4)

    def _factor(self, model: str) -> float:
        """Return how many times MiniLM's time a token takes in a model; 1 if its size is not known yet."""
        if export := self._project.export.get(model):
            model = export.model
        while model in self._project.made_models:
            model = (self._project.merge.get(model) or self._project.finetune[model]).base
        folder = self._workspace.models / model
        return (_multiplied(folder) or MINILM_PARAMETERS) / MINILM_PARAMETERS if folder.is_dir() else 1.0


def _multiplied(folder: Path) -> int | None:
    """Return how many parameters each token is multiplied with: all but the table of token vectors."""
    parameters = count_parameters(folder)
    path = first_module(folder)[1] / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return parameters and parameters - config.get("vocab_size", 0) * config.get("hidden_size", 0)


def _size(survey: Survey, entry: Convert) -> Size:
    """Return the size of a data set after its splits are cut."""
    language = next(iter(survey.languages), "")
    return size_of(survey.documents, survey.characters, survey.cut(entry), survey.query_characters, language)


def _size_in(path: Path) -> Size | None:
    """Return the size that a data set's metrics say; None if there are none."""
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    splits: dict[str, Any] = content["splits"]
    lengths = [split["length"]["characters"]["p50"] for split in splits.values() if split["length"]]
    corpus = content["corpus"]
    return size_of(
        corpus["documents"],
        corpus["length"]["characters"]["p50"] if corpus["length"] else 0.0,
        {name: split["queries"] for name, split in splits.items()},
        max(lengths, default=0.0),
        next(iter(corpus["language"]), ""),
    )
