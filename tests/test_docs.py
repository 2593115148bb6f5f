"""README and docs say what is true."""

import importlib
import inspect
import json
import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic.fields import FieldInfo

from retune import formats
from retune.comparison.verdict import Word
from retune.core.local_settings import VARIABLES
from retune.core.section import Section
from retune.datasets import convert
from retune.encoding.compute import Compute
from retune.llm import json_reply, replies
from retune.params.compare import Compare, Gate, Reference
from retune.params.convert import Convert, Leaks
from retune.params.eval import Eval
from retune.params.export import Export, Parity
from retune.params.fetch import Fetch
from retune.params.finetune import Finetune
from retune.params.fuse import Fuse
from retune.params.llm import Budget, Llm, Prices
from retune.params.merge import Merge
from retune.params.methods import Averaging, Icl, Lora
from retune.params.mine import Limits, Mine, RangeShare, Relabel
from retune.params.mix import Mix
from retune.params.predict import Predict
from retune.params.rerank import Rerank
from retune.params.search import Graph, InvertedLists
from retune.params.synthesize import Extraction, Filters, Generation, Synthesize
from tests.support.commands import SKILL
from tests.support.conversion import convert_raw
from tests.support.parameters import CONVERT
from tests.support.repository import REPOSITORY, succeed

PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", SKILL)),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            name, _, anchor = target.partition("#")
            file = page.parent / name if name else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_map_names_every_page() -> None:
    folder = REPOSITORY / "docs"
    pages = {page.relative_to(folder).as_posix() for page in folder.rglob("*.md")} - {"README.md"}
    listed = re.findall(r"^\| \[\w+\]\(([\w/]+\.md)\) \|", (folder / "README.md").read_text(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE)
    for used in re.findall(r"\bmake ([a-z-]+)\b", page.read_text(encoding="utf-8")):
        assert used in targets, used


def test_readme_shows_matrix_and_verdict_of_the_committed_run() -> None:
    # as committed: another machine's own run changes the report, and should
    report, readme = (succeed(f"git show HEAD:./{name}", REPOSITORY) for name in ("reports/compare.md", "README.md"))
    rows = [line for line in report.splitlines() if line.startswith("| `") and line.count("|") == 4]
    verdicts = [line for line in report.splitlines() if line.startswith("- `minilm_")]
    assert len(rows) >= 4
    assert len(verdicts) == 4
    for row in rows + verdicts:
        assert row in readme, row


def test_every_stage_and_preset_has_a_page() -> None:
    stages = {"fetch", "convert", "synthesize", "mine", "mix", "finetune", "merge", "export", "eval", "compare"}
    stages |= {"rerank", "fuse", "predict"}
    presets = {path.stem for path in (REPOSITORY / "presets").glob("*.yaml")}
    assert stages | presets <= {page.stem for page in (REPOSITORY / "docs").glob("*.md")}


# Of each page: where its table's names begin, and the section whose fields they are.
PARAMETERS: list[tuple[str, str, type[Section]]] = [
    ("fetch", "", Fetch),
    ("convert", "", Convert),
    ("convert", "leaks.", Leaks),
    ("synthesize", "", Synthesize),
    ("synthesize", "extraction.", Extraction),
    ("synthesize", "generation.", Generation),
    ("synthesize", "filters.", Filters),
    ("mine", "", Mine),
    ("mine", "limits.", Limits),
    ("mine", "extra_ranges.", RangeShare),
    ("mine", "relabel.", Relabel),
    ("mix", "", Mix),
    ("finetune", "", Finetune),
    ("finetune", "lora.", Lora),
    ("finetune", "averaging.", Averaging),
    ("merge", "", Merge),
    ("export", "", Export),
    ("rerank", "", Rerank),
    ("fuse", "", Fuse),
    ("export", "parity.", Parity),
    ("flagembedding", "icl.", Icl),
    ("eval", "", Eval),
    ("compare", "", Compare),
    ("compare", "gate.", Gate),
    ("compare", "references.", Reference),
    ("predict", "", Predict),
    ("search", "", InvertedLists),
    ("search", "", Graph),
    ("encoding", "compute.", Compute),
    ("language_models", "llm.", Llm),
    ("language_models", "llm.prices.", Prices),
    ("language_models", "llm.budget.", Budget),
]
ROW = re.compile(r"\| ((?:`[\w.]+`(?:, )?)+) \| (required|off|`defaults`|`defaults` or off) \|")


def marks(page: str) -> dict[str, str]:
    """Return what the tables of a page say of each parameter that is absent."""
    rows = map(ROW.match, (REPOSITORY / "docs" / f"{page}.md").read_text(encoding="utf-8").splitlines())
    return {name: row[2] for row in rows if row for name in re.findall(r"`([\w.]+)`", row[1])}


def expected_mark(name: str, field: FieldInfo, defaults: dict) -> str:
    """Say whether a parameter is required, stands in the defaults, or is off when it is absent."""
    if name == "path":
        return "required"  # of every entry of fetch, as dvc.yaml reads it; the check says so
    for part in name.split("."):
        defaults = defaults.get(part, {}) if isinstance(defaults, dict) else {}
    if defaults == {}:
        return "required" if field.is_required() else "off"
    return "`defaults`" if field.is_required() else "`defaults` or off"


@pytest.mark.parametrize(("page", "prefix", "section"), PARAMETERS, ids=lambda value: getattr(value, "__name__", value))
def test_page_says_of_every_parameter_whether_it_may_be_absent(
    page: str, prefix: str, section: type[Section], default_params: dict
) -> None:
    fields = {f"{prefix}{name}": field for name, field in section.model_fields.items()}
    fields.pop("compute.cache", None)  # no parameter: it comes from the environment
    defaults = default_params["defaults"].get(page, {})
    stated = marks(page)
    assert {name: stated.get(name) for name in fields} == {
        name: expected_mark(name, field, defaults) for name, field in fields.items()
    }


def test_page_of_the_environment_names_every_variable() -> None:
    page = (REPOSITORY / "docs/environment.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE) == list(VARIABLES)


def test_page_of_language_models_explains_every_problem() -> None:
    page = (REPOSITORY / "docs/language_models.md").read_text(encoding="utf-8")
    constants = {**vars(json_reply), **vars(replies)}
    problems = {value for name, value in constants.items() if name.isupper() and isinstance(value, str)}
    assert len(problems) == 14
    assert {problem for problem in problems if f"`{problem}`" not in page} == set()


def test_page_of_compare_explains_every_word_of_a_verdict() -> None:
    page = (REPOSITORY / "docs/compare.md").read_text(encoding="utf-8")
    assert all(f"| `{word}` |" in page for word in get_args(Word))


def test_locks_pin_every_package_and_differ_by_accelerator() -> None:
    for name, present, absent in (
        ("requirements.txt", "faiss-cpu==", "faiss-gpu=="),
        ("requirements-gpu.txt", "faiss-gpu==", "faiss-cpu=="),
    ):
        lines = (REPOSITORY / name).read_text().splitlines()
        assert all(re.match(r"[a-z0-9._-]+==[^ +]+( ;.*)?$", line) for line in lines)
        assert "torch==2.13.0" in lines
        assert any(line.startswith(present) for line in lines)
        assert not any(line.startswith(absent) for line in lines)
    assert "nvidia" not in (REPOSITORY / "requirements.txt").read_text()


def test_every_format_and_its_parameters_are_on_the_page_of_convert() -> None:
    page = (REPOSITORY / "docs/convert.md").read_text(encoding="utf-8")
    for name in convert.formats():
        assert f"| `{name}` |" in page, name
        fields = importlib.import_module(f"retune.formats.{name}").Params.model_fields
        assert all(f"`{field}`" in page for field in fields), name


def test_format_shown_on_the_page_of_convert_works_in_under_forty_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (REPOSITORY / "docs/convert.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, flags=re.DOTALL)[1]
    assert len(code.splitlines()) < 40
    (tmp_path / "tickets.py").write_text(code)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    rows = [
        {"id": f"t{n}", "question": f"how {n}?", "article_id": f"a{n}", "headline": "H", "article": f"so {n}"}
        for n in "12"
    ]
    lines = [json.dumps(row | {"product": "mill"}) for row in rows] + [json.dumps({"product": "saw"})]
    (tmp_path / "tickets.jsonl").write_text("\n".join(lines))
    result = convert_raw(tmp_path / "tickets.jsonl", tmp_path / "out", "tickets", **CONVERT | {"product": "mill"})
    assert result.judged() == {("how 1?", "so 1", 1), ("how 2?", "so 2", 1)}
    assert result.statistics["dropped"] == {"of another product": 1}


def test_command_for_several_machines_names_every_argument_of_the_stage() -> None:
    page = (REPOSITORY / "docs/distributed.md").read_text(encoding="utf-8")
    command = page[page.index("torchrun --nnodes") :].partition("dvc commit")[0]
    names = [
        name for name in inspect.signature(importlib.import_module("stages.finetune").main).parameters if name != "name"
    ]
    assert [name for name in names if f"--{name} " not in command] == []
