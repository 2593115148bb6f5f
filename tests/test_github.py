"""The scripts of a pull request's checks run here as they run there: on clones without data or cache, offline."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support import fork_server
from tests.support.repository import REPOSITORY, clone, run, succeed

pytestmark = pytest.mark.slow
GITHUB = REPOSITORY / ".github"
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")

PIPELINE = """
stages:
  mine:
    cmd: mkdir -p data && cp mine.py data/mined
    deps:
      - mine.py
    params:
      - mine
    outs:
      - data/mined
  eval:
    cmd: mkdir -p metrics && echo '{"ndcg_at_10":0.5}' > metrics/eval.json
    deps:
      - data/mined
    outs:
      - metrics/eval.json:
          cache: false
  compare:
    cmd: cp metrics/eval.json metrics/summary.json
    deps:
      - compare.py
      - metrics/eval.json
    outs:
      - metrics/summary.json:
          cache: false
"""


@pytest.fixture(scope="module", autouse=True)
def dvc_starts_as_a_fork(server: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(fork_server.VARIABLE, str(server))
        yield


def offline(command: str, folder: Path, **variables: str) -> CompletedProcess[str]:
    """Run a command that finds no network."""
    return run(command, folder, **NO_NETWORK | variables)


def commit(folder: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    succeed(f"git add -A && git commit -q -m '{message}'", folder)


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shallow checkout of a pull request's merge: another number of epochs, and every score another."""
    work = tmp_path_factory.mktemp("report")
    clone(work / "author")
    commit(work / "author", {}, "base")
    succeed("git checkout -q -b shorter", work / "author")
    params = (REPOSITORY / "params.yaml").read_text()
    files = {"params.yaml": params.replace("epochs: 2", "epochs: 1", 1)}
    for path in (REPOSITORY / "metrics/summary.json", *sorted((REPOSITORY / "metrics/by_model").glob("*.json"))):
        text = re.sub(r": (-?\d+\.\d+)", lambda found: f": {float(found[1]) + 0.25:.5f}", path.read_text())
        files[path.relative_to(REPOSITORY).as_posix()] = text
    report = "# Verdict\n\n![a picture](forgetting.svg)\n\n`minilm_science` improved.\n"
    commit(work / "author", files | {"reports/compare.md": report}, "one epoch")
    succeed("git checkout -q main && git merge -q --no-ff -m merge shorter", work / "author")
    succeed(f"git clone -q --depth 2 file://{work}/author merged && git -C merged checkout -q --detach", work)
    succeed("git branch --force main HEAD^1", work / "merged")
    return work / "merged"


@pytest.fixture(scope="module")
def report(merged: Path) -> str:
    result = offline(".github/scripts/report.sh main", merged)
    assert result.returncode == 0, result.stderr
    return result.stdout


def rows(report: str, title: str) -> list[list[str]]:
    """The cells of the table under a heading, with the row of names."""
    lines = report.partition(f"\n## {title}\n")[2].partition("\n## ")[0].splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in table if not set("".join(row)) <= set(":-")]


def test_report_names_base_and_branch_and_says_that_the_lock_is_stale(merged: Path, report: str) -> None:
    base, branch = (succeed(f"git rev-parse --short {name}", merged).strip() for name in ("HEAD^1", "HEAD^2"))
    assert report.startswith(f"`main` is {base}, `HEAD` is {branch} merged into it. **dvc.lock is stale:**")
    assert "modified:" not in report  # the check says what; here the verdict is next


def test_verdict_comes_before_every_table_and_without_its_picture(report: str) -> None:
    assert "![" not in report
    assert report.index("`minilm_science` improved.") < report.index("\n| ")
    assert re.findall("^## (.*)", report, flags=re.MULTILINE) == ["Metrics", "Scores by model", "Parameters"]


def test_report_shows_every_metric_before_and_after(report: str) -> None:
    names, *changes = rows(report, "Metrics")
    assert names == ["Path", "Metric", "main", "HEAD", "Change"]
    summary = json.loads((REPOSITORY / "metrics/summary.json").read_text())
    assert len(changes) == sum(len(runs) for runs in summary.values())
    gain = summary["gain"]["minilm_science"]
    expected = ["metrics/summary.json", "gain.minilm_science", f"{gain:g}", f"{gain + 0.25:g}", "0.25"]
    assert expected in changes


def test_metrics_of_the_default_run_take_fewer_than_forty_lines(report: str) -> None:
    table = report.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    assert len(table.splitlines()) < 40


def test_report_shows_scores_by_model_and_the_changed_parameter(report: str) -> None:
    scores = {tuple(row[:2]) for row in rows(report, "Scores by model")[1:]}
    models = (REPOSITORY / "metrics/by_model").glob("*.json")
    assert scores == {
        (f"metrics/by_model/{path.name}", name) for path in models for name in json.loads(path.read_text())
    }
    assert rows(report, "Parameters")[1:] == [["params.yaml", "defaults.finetune.epochs", "2", "1"]]


def test_plots_of_both_commits_are_drawn_without_data(merged: Path, report: str) -> None:
    result = offline("dvc plots diff main HEAD --out dvc_plots", merged)
    assert result.returncode == 0, result.stderr
    page = (merged / "dvc_plots/index.html").read_text()
    assert all(name in page for name in ("Score by model and data set", "Training loss", '"main"', '"HEAD"'))


@pytest.mark.parametrize("argument", ["", "no_such_branch"])
def test_report_against_no_commit_is_refused(argument: str) -> None:
    result = offline(f".github/scripts/report.sh {argument}", REPOSITORY)
    assert result.returncode == 2
    assert f"expected one argument, a commit to compare with, got '{argument}'" in result.stderr


def run_pipeline(author: Path, files: dict[str, str] | None = None, add: str = "true") -> None:
    """Run and commit a small pipeline, after a command that adds data."""
    script, without_data, attributes = (
        (REPOSITORY / name).read_text()
        for name in (".github/scripts/stale.sh", ".github/scripts/dvc_without_data.py", ".gitattributes")
    )
    pipeline = {
        "dvc.yaml": PIPELINE,
        "params.yaml": "mine:\n  negatives: 4\n",
        "mine.py": "1\n",
        "compare.py": "1\n",
        ".gitattributes": attributes,
        ".github/scripts/stale.sh": script,
        ".github/scripts/dvc_without_data.py": without_data,
    }
    author.mkdir(parents=True)
    succeed(
        "git init -q -b main && git config user.email t@example.com && git config user.name t && dvc init -q",
        author,
    )
    commit(author, pipeline | (files or {}), "pipeline")
    succeed(f"chmod +x .github/scripts/stale.sh && {add} && dvc repro && git add -A && git commit -q -m run", author)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of a small pipeline that was run where its data is: here is none of it."""
    work = tmp_path_factory.mktemp("stale")
    run_pipeline(work / "author")
    succeed(f"git clone -q --depth 1 file://{work}/author checkout", work)
    return work / "checkout"


@pytest.fixture
def fresh(checkout: Path) -> Path:
    """The checkout without what another test changed in it."""
    succeed("git checkout -q . && git clean -q -f -d", checkout)
    assert not (checkout / "data/mined").exists()
    return checkout


def stages(result: CompletedProcess[str]) -> list[str]:
    """The stages that the answer names."""
    return re.findall(r"^(\w+):$", result.stdout, flags=re.MULTILINE)


def test_lock_of_a_run_is_current_without_its_data(fresh: Path) -> None:
    result = offline(".github/scripts/stale.sh", fresh)
    assert (result.returncode, result.stdout) == (0, "dvc.lock is current.\n")


def test_changed_parameter_names_its_stage(fresh: Path) -> None:
    (fresh / "params.yaml").write_text("mine:\n  negatives: 5\n")
    result = offline(".github/scripts/stale.sh", fresh)
    assert result.returncode == 1
    assert stages(result) == ["mine"]
    assert re.search(r"modified: +mine\b", result.stdout)
    assert "make repro" in result.stdout


def test_stage_whose_inputs_are_all_in_git_is_stale_too(fresh: Path) -> None:
    (fresh / "compare.py").write_text("2")
    result = offline(".github/scripts/stale.sh", fresh)
    assert result.returncode == 1
    assert stages(result) == ["compare"]
    assert re.search(r"modified: +compare\.py", result.stdout)


def test_every_stale_stage_is_named_though_data_is_absent(fresh: Path) -> None:
    graph = PIPELINE.replace("mkdir -p metrics &&", "mkdir -p metrics/ &&")  # eval's command; its input is absent data
    (fresh / "dvc.yaml").write_text(graph)
    (fresh / "mine.py").write_text("2")
    (fresh / "metrics/eval.json").write_text('{"ndcg_at_10":0.75}')
    result = offline(".github/scripts/stale.sh", fresh)
    assert result.returncode == 1
    assert sorted(stages(result)) == ["compare", "eval", "mine"]
    assert "data/mined" not in result.stdout  # absent, which is no change


def test_output_forgotten_in_git_is_named(fresh: Path) -> None:
    (fresh / "metrics/summary.json").unlink()  # DVC takes it for data that is elsewhere
    result = offline(".github/scripts/stale.sh", fresh)
    assert result.returncode == 1
    assert "**Outputs are missing from Git:** `metrics/summary.json`." in result.stdout


def test_lock_that_contradicts_itself_is_stale_though_no_file_changed(fresh: Path) -> None:
    before, mine, after = (fresh / "dvc.lock").read_text().partition("\n  mine:\n")
    output = re.compile(r"(path: data/mined\n +hash: md5\n +md5: )\w{32}")
    (fresh / "dvc.lock").write_text(before + mine + output.sub(rf"\g<1>{'a' * 32}", after, count=1))
    result = offline(".github/scripts/stale.sh", fresh)
    assert result.returncode == 1
    assert "`eval`" in result.stdout
    assert "one hash for a stage's output and another for the same file as an input" in result.stdout


def test_graph_that_cannot_be_read_is_no_current_lock(fresh: Path) -> None:
    (fresh / "dvc.yaml").write_text("stages: [")
    result = offline(".github/scripts/stale.sh", fresh)
    assert result.returncode == 1
    assert "could not be checked" in result.stdout
    assert "dvc.yaml" in result.stdout


def test_lock_stays_current_where_git_converts_line_ends(tmp_path: Path) -> None:
    inputs = {"mine.py": "one\ntwo\n", "data/raw/unix.csv": "id\na\n", "data/raw/windows.csv": "id\r\na\r\n"}
    graph = PIPELINE.replace("      - mine.py\n", "      - mine.py\n      - data/raw\n", 1)
    run_pipeline(tmp_path / "author", inputs | {"dvc.yaml": graph})
    for convert in ("true", "input", "false"):
        succeed(f"git -c core.autocrlf={convert} clone -q author {convert}", tmp_path)
        result = offline(".github/scripts/stale.sh", tmp_path / convert)
        assert (result.returncode, result.stdout) == (0, "dvc.lock is current.\n")
        assert (tmp_path / convert / "data/raw/windows.csv").read_bytes() == b"id\r\na\r\n"


def test_no_file_of_a_clone_has_its_line_ends_converted(tmp_path: Path) -> None:
    clone(tmp_path / "author")
    commit(tmp_path / "author", {}, "all")
    succeed("git -c core.autocrlf=true clone -q author windows", tmp_path)
    assert "w/crlf" not in succeed("git ls-files --eol", tmp_path / "windows")


def test_project_in_a_subdirectory_is_checked_and_reported_there(tmp_path: Path) -> None:
    project = tmp_path / "monorepo/search"
    clone(project)
    (project / ".git").rename(tmp_path / "monorepo/.git")
    commit(tmp_path / "monorepo", {"other/reports/compare.md": "another project's\n"}, "base")
    succeed("git checkout -q -b better", project)
    summary = json.loads((REPOSITORY / "metrics/summary.json").read_text())
    summary["gain"]["minilm_science"] += 0.25
    files = {"metrics/summary.json": json.dumps(summary), "reports/compare.md": "`minilm_science` improved.\n"}
    commit(project, files, "better")
    result = offline("search/.github/scripts/report.sh main", tmp_path / "monorepo")
    assert result.returncode == 0, result.stderr
    assert "\n`minilm_science` improved.\n" in result.stdout
    assert [row[1] for row in rows(result.stdout, "Metrics")] == ["Metric", "gain.minilm_science"]
    stale = offline(".github/scripts/stale.sh", project)
    assert "Outputs are missing" not in stale.stdout
    assert "could not be checked" not in stale.stdout


@pytest.fixture(scope="module")
def with_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like `checkout`; a folder that a stage reads has a file in Git and one that was added to DVC."""
    work = tmp_path_factory.mktemp("table")
    graph = PIPELINE.replace("      - compare.py\n", "      - compare.py\n      - data/slices\n")
    files = {"dvc.yaml": graph, "data/slices/README.md": "classes\n", "data/slices/x.csv": "query_id,topic\nq,a\n"}
    run_pipeline(work / "author", files, "git rm -q --cached data/slices/x.csv && dvc add -q data/slices/x.csv")
    succeed(f"git clone -q --depth 1 file://{work}/author checkout", work)
    return work / "checkout"


def test_absent_file_of_a_folder_counts_as_recorded(with_table: Path) -> None:
    assert not (with_table / "data/slices/x.csv").exists()
    result = offline(".github/scripts/stale.sh", with_table)
    assert (result.returncode, result.stdout) == (0, "dvc.lock is current.\n")


@pytest.mark.parametrize("name", ["x.csv.dvc", "README.md", "y.csv"])
def test_folder_with_an_absent_file_is_stale_if_another_changed(name: str, with_table: Path) -> None:
    path = with_table / "data/slices" / name
    text = path.read_text() if path.exists() else ""
    path.write_text(re.sub(r"md5: \w{32}", f"md5: {'a' * 32}", text) if text.startswith("outs") else f"{text}more\n")
    result = offline(".github/scripts/stale.sh", with_table)
    succeed("git checkout -q . && git clean -q -f -d", with_table)
    assert result.returncode == 1
    assert stages(result) == ["compare"]
    assert re.search(r"modified: +data/slices\b", result.stdout)


@pytest.mark.parametrize("status", [0, 1, 3])
def test_gate_exits_as_the_stage_does(status: int, tmp_path: Path) -> None:
    (tmp_path / ".github/scripts").mkdir(parents=True)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/gate.py").write_text(f"print('max_forgetting: 0.03 > 0.02')\nraise SystemExit({status})")
    (tmp_path / ".github/scripts/gate.sh").write_text((GITHUB / "scripts/gate.sh").read_text())
    result = offline("bash .github/scripts/gate.sh", tmp_path)
    assert result.returncode == status
    assert result.stdout == "max_forgetting: 0.03 > 0.02\n"


def post(report: str, folder: Path) -> tuple[list[str], str]:
    """Comment with a stand-in for gh; return its arguments and the comment."""
    gh = folder / "bin/gh"
    gh.parent.mkdir()
    gh.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > arguments\nfor body; do :; done\ncp "$body" comment.md\n')
    gh.chmod(0o755)
    (folder / "report.md").write_text(report)
    path = f"{gh.parent}{os.pathsep}{os.environ['PATH']}"
    succeed(f"{GITHUB}/scripts/comment.sh 7 report.md https://example.com/run/9", folder, PATH=path)
    return (folder / "arguments").read_text().split(), (folder / "comment.md").read_text()


def test_comment_takes_the_place_of_the_last_one_and_leads_to_the_run(tmp_path: Path) -> None:
    arguments, comment = post("the report\n", tmp_path)
    assert arguments[:6] == ["pr", "comment", "7", "--edit-last", "--create-if-none", "--body-file"]
    assert "(https://example.com/run/9)" in comment
    assert comment.endswith("\n\nthe report\n")


def test_report_too_long_for_a_comment_ends_at_a_line_and_says_so(tmp_path: Path) -> None:
    _, comment = post("| a | row |\n" * 10_000, tmp_path)
    assert 50_000 < len(comment) < 65_536
    assert "Too long for a comment" in comment
    assert comment.endswith("\n| a | row |\n")
