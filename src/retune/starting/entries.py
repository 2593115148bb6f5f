"""The entries of params.yaml for a data set: as few lines as describe it, the rest comes from `defaults`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from retune.core.section import merge
from retune.starting.cost import UNSPACED
from retune.starting.found import Found
from retune.starting.survey import Survey

SHARES = {"dev": 0.1, "test": 0.34}  # of the train queries, where `defaults` gives none
MAX_UNUSABLE = 0.05  # more is left for the user to decide
LICENCE = "unknown"
WRITTEN: Mapping[str, Any] = {
    "method": "llm",
    "kinds": {"question": 0.5, "keywords": 0.25, "claim": 0.25},
    "queries_per_document": 3,
    "generation": {"document_words": 300},
    "filters": {  # what each is worth: docs/synthesis.md
        "language": True,
        "copied_words": 8,
        "leak": 0.7,
        "near_duplicate": 0.9,
        "cosine_duplicate": 0.95,
        "round_trip": 50,
    },
}
WRITTEN_UNSPACED: Mapping[str, Any] = {  # where lengths count characters
    "generation": {"document_words": 500},
    "filters": {"copied_words": 13},
}
ONE_EPOCH = {"epochs": 1}  # is enough with synthetic queries: docs/synthesis.md
IN_BATCH = {"negatives_from": "none", "negatives": 0}  # with sentences: docs/notes/synthesis_sympy.md
WRITTEN_TEST_KINDS = {"long_question": 0.5, "title": 0.5}  # on which no model is trained
TAKEN_TEST_KINDS = {"keyphrases": 1.0}
SYNTHETIC_TEST = 0.3  # share of the documents, where no query is real

Entry = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What the user wants.

    Attributes:
        name: The name of the data set.
        base: The model to tune.
        llm: The language model that writes queries; empty for none.
        guard: Another data set with dev queries, which a model tuned on synthetic queries should not forget; empty for
            none.
    """

    name: str
    base: str
    llm: str = ""
    guard: str = ""

    @property
    def synthetic(self) -> str:
        """Return the name of the data set of synthetic queries."""
        return f"{self.name}_synthetic"


@dataclass
class Additions:
    """What is added to params.yaml.

    Attributes:
        entries: By section, the entries by name.
        models: Names for `eval.models`.
        datasets: Names for `eval.datasets`.
        seeds: Groups for `compare.seeds`.
    """

    entries: dict[str, dict[str, Entry]] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    seeds: dict[str, list[str]] = field(default_factory=dict)

    def add(self, section: str, name: str, entry: Entry) -> None:
        """Add an entry."""
        self.entries.setdefault(section, {})[name] = entry


def convert_entry(found: Found, raw: str, origin: str) -> Entry:
    """Return a `convert` entry without the shares of its splits."""
    first = {"format": found.format, "raw": raw, "licence": LICENCE, "origin": origin}
    return first | found.params | {name: value for name, value in found.shared.items() if name != "test"}


def additions(wanted: Wanted, convert: Entry, survey: Survey, defaults: Mapping[str, Any]) -> Additions:
    """Return all entries for a data set.

    With train queries, a model is tuned on them; without, on queries synthesised from the documents. Models are
    measured on the data set's test queries, or without any on synthetic ones.

    Args:
        wanted: The names to use.
        convert: The data set's entry, to be completed by its splits.
        survey: What is in the data.
        defaults: `defaults.convert` of params.yaml.
    """
    added = Additions()
    added.add("convert", wanted.name, convert | _splits(survey, defaults) | _limits(survey, defaults))
    if "train" in survey.queries:
        added.datasets.append(wanted.name)
        _tune(added, wanted, wanted.name)
        return added
    synthetic = synthesize_entry(wanted, next(iter(survey.languages), ""), is_measured=bool(survey.queries))
    added.add("synthesize", wanted.synthetic, synthetic)
    added.datasets.append(wanted.name if survey.queries else wanted.synthetic)
    if wanted.llm:
        _tune(added, wanted, wanted.synthetic, finetune=ONE_EPOCH)
    else:
        _tune(added, wanted, wanted.synthetic, mine=IN_BATCH, finetune=ONE_EPOCH | {"hard_negatives": 0})
    if wanted.guard:
        _merge(added, wanted)
    return added


def synthesize_entry(wanted: Wanted, language: str, *, is_measured: bool) -> Entry:
    """Return a `synthesize` entry: sentences of the documents, or queries that a language model writes.

    Args:
        wanted: The names to use.
        language: That of most documents, as an ISO 639-1 code.
        is_measured: Whether the data set has test queries; otherwise some of the synthetic ones are for testing.
    """
    entry: Entry = {"dataset": wanted.name, "model": wanted.base}
    if wanted.llm:
        asked = {"model": wanted.llm, "temperature": 0.7, "max_tokens": 500, "timeout_s": 300.0}
        written = merge(WRITTEN, WRITTEN_UNSPACED) if language in UNSPACED else WRITTEN
        entry = {**entry, **written, "llm": asked}
    else:
        entry["kinds"] = {"sentence": 1.0}
    entry["dev"] = SHARES["dev"]
    if is_measured:
        return entry
    return entry | {"test": SYNTHETIC_TEST, "test_kinds": WRITTEN_TEST_KINDS if wanted.llm else TAKEN_TEST_KINDS}


def _tune(
    added: Additions, wanted: Wanted, dataset: str, *, mine: Mapping[str, Any] = {}, finetune: Mapping[str, Any] = {}
) -> None:
    """Add a recipe for hard negatives and a tuned model, each with more parameters of its own."""
    model = f"{wanted.base}_{dataset}"
    recipe = {"dataset": dataset, "model": wanted.base, "pool": dataset, "scorer": wanted.base}
    tuned = {"base": wanted.base, "data": dataset, "dev": dataset, "guide": wanted.base}
    added.add("mine", dataset, recipe | dict(mine))
    added.add("finetune", model, tuned | dict(finetune))
    added.models.append(model)


def _merge(added: Additions, wanted: Wanted) -> None:
    """Add a model between the base and the model tuned on synthetic queries, which often gains more and loses less."""
    tuned = added.models[-1]
    models = {"base": wanted.base, "tuned": tuned, "tuned_2": tuned}
    datasets = {"dev": wanted.synthetic, "guard": wanted.guard, "guard_2": wanted.guard}
    added.add("merge", f"{tuned}_merged", models | datasets | {"weight": "search"})
    added.models.append(f"{tuned}_merged")


def _splits(survey: Survey, defaults: Mapping[str, Any]) -> Entry:
    """Return which splits are given and which are cut, where `defaults` does not say the same."""
    splits = survey.queries
    entry: Entry = {}
    if splits and not splits.keys() & {"train", "test"}:
        entry["assign_all_to"] = "test"  # dev queries alone: models are measured on them
        splits = {"test": 1}
    for name in ("dev", "test"):
        default = defaults.get(name)
        if name in splits:
            wanted: float | str = "given"
        elif splits and "train" not in splits:
            wanted = 0.0
        else:
            wanted = default if isinstance(default, float) and default else SHARES[name]
        if wanted != default:
            entry[name] = wanted
    return entry


def _limits(survey: Survey, defaults: Mapping[str, Any]) -> Entry:
    """Return `max_unusable` if a few records cannot be used and `defaults` allows fewer."""
    needed = math.ceil(100 * survey.unusable) / 100
    allowed = merge(defaults, {}).get("max_unusable", 0.0)
    return {"max_unusable": needed} if allowed < survey.unusable <= MAX_UNUSABLE else {}
