"""The commands of README and docs/start.md: from files in a home folder to tuned models, under DVC."""

from pathlib import Path

import pytest

from tests.support.repository import clone, link_environment, succeed, write_params
from tests.support.user_data import write
from tests.test_pipeline import DATASETS, rag, tiny_params

pytestmark = [pytest.mark.usefixtures("forks"), pytest.mark.slow]
WORDS = ["array", "matrix", "sum", "mean", "sort", "graph", "edge", "node", "path", "prime"]


@pytest.fixture
def repository(tmp_path: Path, server: Path, tiny_transformer: Path, fetch_values: dict) -> Path:
    """A copy of the repository whose base `minilm` is tiny, with one small data set, committed."""
    folder = tmp_path / "repository"
    clone(folder)
    (folder / "dvc.lock").unlink(missing_ok=True)
    (folder / "tiny_transformer").symlink_to(tiny_transformer)
    write(folder / "data/raw", {f"{name}.json": rag(WORDS) for name in DATASETS})
    params = tiny_params(fetch_values)
    params["fetch"] = {"minilm": params["fetch"]["tiny"]}
    params["convert"].pop("second")
    params |= {"synthesize": {}, "mine": {}, "finetune": {}, "merge": {}}
    params["eval"] |= {"models": ["minilm"], "datasets": ["first"]}
    write_params(folder, params)
    link_environment(folder, server)
    succeed("git add -A && git commit -qm start", folder)
    return folder


def test_markdown_and_a_table_become_tuned_models(repository: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    sections = [
        f"# {a}\nThe {a} is read first. Then sort the {b} of it. Plot {a} and {b}.\n" for a in WORDS for b in WORDS
    ]
    pairs = "".join(f"{a} of {b},read the {a} and then sort {b}\n" for a in WORDS for b in WORDS if a != b)
    write(home, {"handbook/rules.md": "\n".join(sections), "faq.csv": f"question,answer\n{pairs}"})
    said = succeed("make start DATA=~/handbook", repository, HOME=str(home))
    assert "handbook: format documents, because it has rules.md and no queries" in said
    assert "make repro will fetch minilm, convert handbook, synthesise handbook_synthetic, " in said
    said = succeed("make start DATA=~/faq.csv NAME=questions", repository, HOME=str(home))
    assert "questions: format table, because it has the columns question (the query) and answer (the document)" in said
    changed = succeed("git status --short", repository).split("\n")
    assert {line[3:] for line in changed if line} == {
        "params.yaml", "data/raw/.gitignore", "data/raw/handbook.dvc", "data/raw/questions.csv.dvc"
    }  # fmt: skip
    succeed("dvc repro", repository)
    assert (repository / "models/minilm_handbook_synthetic/modules.json").is_file()
    report = (repository / "reports/compare.md").read_text(encoding="utf-8")
    assert "`minilm_questions` (from `minilm`)" in report


def test_without_data_one_line_says_how(repository: Path) -> None:
    said = succeed("make start NAME=x || true", repository, DATA="/etc", LLM="gpt")  # not from the environment
    lines = [line for line in said.splitlines() if line.startswith("error")]
    assert lines == ["error: DATA: expected a file or folder: make start DATA=path [NAME=name] [LLM=model]"]
