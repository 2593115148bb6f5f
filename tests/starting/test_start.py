"""From data to entries that pass the check: once for each kind of data, and what is refused."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from retune.check.checking import check
from retune.core import files
from retune.core.errors import InputError
from retune.core.params_file import read_params
from retune.datasets.convert import convert, parse_params
from retune.starting import raw_data
from retune.starting.plan import Workspace
from retune.starting.start import Layout, start
from tests.support.repository import REPOSITORY
from tests.support.user_data import write

MOST_LINES = 20  # of a data set
ANIMALS = [
    "ant",
    "bee",
    "cat",
    "dog",
    "eel",
    "fox",
    "gnu",
    "hen",
    "ibis",
    "jay",
    "koi",
    "lynx",
    "mole",
    "newt",
    "owl",
    "pig",
    "quail",
    "rat",
    "seal",
    "toad",
]
RULES = {name: f"The rule about the {name} says that it may sleep in the office at night." for name in ANIMALS}
QUESTIONS = {name: f"where does the {name} sleep" for name in ANIMALS}
SPLIT_OF = {name: "test" if n < 7 else "dev" if n < 9 else "train" for n, name in enumerate(ANIMALS)}


def beir(*splits: str) -> dict[str, object]:
    """Return a BEIR folder whose queries are in some of the splits."""
    qrels = {
        f"qrels/{split}.tsv": "query-id\tcorpus-id\tscore\n"
        + "".join(f"q{name}\td{name}\t1\n" for name in ANIMALS if SPLIT_OF[name] == split)
        for split in splits
    }
    return qrels | {
        "corpus.jsonl": [{"_id": f"d{name}", "text": RULES[name]} for name in ANIMALS],
        "queries.jsonl": [{"_id": f"q{name}", "text": QUESTIONS[name]} for name in ANIMALS],
    }


def rows(query: str, document: str, names: list[str] = ANIMALS) -> list[dict[str, Any]]:
    return [{query: QUESTIONS[name], document: RULES[name]} for name in names]


def csv(*columns: str) -> str:
    return "\n".join([",".join(columns), *(f"{QUESTIONS[name]},{RULES[name]}" for name in ANIMALS)]) + "\n"


def id_maps(names: list[str] = ANIMALS) -> dict[str, Any]:
    return {
        "queries": {f"q{name}": QUESTIONS[name] for name in names},
        "corpus": {f"d{name}": RULES[name] for name in names},
        "relevant_docs": {f"q{name}": [f"d{name}"] for name in names},
    }


def squad() -> dict[str, Any]:
    """Return SQuAD of one question for each article."""
    return {
        "data": [
            {
                "title": name,
                "paragraphs": [{"context": RULES[name], "qas": [{"id": name, "question": QUESTIONS[name]}]}],
            }
            for name in ANIMALS
        ]
    }


class Project:
    """A folder with this repository's params.yaml, in which `start` runs as `make start` does, but without DVC."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.said, self.tracked = folder, "", []
        for name in ("params.yaml", "requirements.txt"):
            shutil.copy(REPOSITORY / name, folder)
        monkeypatch.chdir(folder)
        monkeypatch.setattr(raw_data, "track", lambda place: self.tracked.append(place) or "")
        self.before = self.text()

    def text(self) -> str:
        return (self.folder / "params.yaml").read_text(encoding="utf-8")

    def start(self, data: Path | str, *, name: str = "", llm: str = "", base: str = "minilm") -> str:
        """Run it and return what it says."""
        outputs = Workspace(Path("data"), Path("models"), Path("metrics"))
        layout = Layout(Path("params.yaml"), Path("data/raw"), Path("data/excluded"), Path("data/slices"), outputs)
        said: list[str] = []
        start(str(data), name=name, llm=llm, base=base, layout=layout, say=said.append)
        return "\n".join(said)

    def params(self) -> dict[str, Any]:
        return read_params("params.yaml")

    def added_lines(self) -> int:
        return len(self.text().splitlines()) - len(self.before.splitlines())

    def converted(self, name: str) -> dict[str, int]:
        """Convert the data set and return the number of queries of each split."""
        params = self.params()
        entry = parse_params(f"convert.{name}", params["convert"][name], params["defaults"]["convert"])
        statistics, _ = convert(entry, Path(entry.raw), self.folder / "out", seed=13, where=f"convert.{name}")
        assert statistics["corpus"]["documents"] > 0
        return {split: part["queries"] for split, part in statistics["splits"].items()}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project", monkeypatch)


WITH_QUERIES = [
    ("beir", beir("train", "dev", "test"), {"train": 11, "dev": 2, "test": 7}, {"dev": "given", "test": "given"}),
    ("beir", beir("train", "test"), {"train": 10, "dev": 1, "test": 7}, {"test": "given"}),
    ("beir", beir("train"), {"train": 7, "dev": 1, "test": 3}, {}),
    ("table", {"faq.csv": csv("question", "answer")}, {"train": 12, "dev": 2, "test": 6}, {}),
    (
        "table",
        {"train.jsonl": rows("query", "passage", ANIMALS[7:]), "test.jsonl": rows("query", "passage", ANIMALS[:7])},
        {"train": 12, "dev": 1, "test": 7},
        {"test": "given"},
    ),
    ("squad", {"squad.json": squad()}, {"train": 12, "dev": 2, "test": 6}, {"split_by": "group"}),
    ("flagembedding", {"a.jsonl": [row | {"neg": []} for row in rows("query", "pos")]}, {"train": 12, "dev": 2, "test": 6}, {}),
    ("llama_index", {"data.json": id_maps()}, {"train": 12, "dev": 2, "test": 6}, {}),
    (
        "llama_index",
        {"train_dataset.json": id_maps(ANIMALS[7:]), "val_dataset.json": id_maps(ANIMALS[:7])},
        {"train": 9, "dev": 7, "test": 4},
        {"dev": "given"},
    ),
    ("sentence_transformers", {"pairs.jsonl": rows("anchor", "positive")}, {"train": 12, "dev": 2, "test": 6}, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("format_name", "content", "queries", "splits"),
    WITH_QUERIES,
    ids=[f"{row[0]}-{n}" for n, row in enumerate(WITH_QUERIES)],
)
def test_data_with_train_queries_gets_a_model_and_a_verdict(
    format_name: str, content: dict, queries: dict, splits: dict, tmp_path: Path, project: Project
) -> None:
    said = project.start(write(tmp_path / "Handbook", content))
    params = project.params()
    entry = params["convert"]["handbook"]
    assert {name: entry[name] for name in ("dev", "test", "split_by") if name in entry} == splits
    assert (entry["format"], entry["raw"]) == (format_name, "data/raw/handbook")
    assert said.startswith(f"handbook: format {format_name}, because it")
    assert project.converted("handbook") == queries
    assert params["finetune"]["minilm_handbook"] == {
        "base": "minilm", "data": "handbook", "dev": "handbook", "guide": "minilm"
    }  # fmt: skip
    assert params["eval"]["models"][-1] == "minilm_handbook"
    assert params["eval"]["datasets"][-1] == "handbook"
    assert project.added_lines() <= MOST_LINES
    assert project.tracked == [Path("data/raw/handbook")]


@pytest.mark.parametrize("llm", ["", "qwen"])
def test_documents_alone_get_synthetic_queries(
    tmp_path: Path, project: Project, llm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8080/v1")
    text = "\n\n".join(f"# {name}\n{rule} {rule}" for name, rule in RULES.items())
    said = project.start(write(tmp_path / "handbook", {"rules.md": text, "sub/more.txt": text}), llm=llm)
    params = project.params()
    assert params["convert"]["handbook"] | {"origin": ""} == {
        "format": "documents", "raw": "data/raw/handbook", "licence": "unknown", "origin": "",
        "chunk_words": 80, "overlap_words": 0, "min_words": 8,
    }  # fmt: skip
    assert params["synthesize"]["handbook_synthetic"]["dataset"] == "handbook"
    assert params["finetune"]["minilm_handbook_synthetic"]["data"] == "handbook_synthetic"
    assert project.converted("handbook") == {"train": 0, "dev": 0, "test": 0}
    assert project.added_lines() <= MOST_LINES
    assert re.search(r"^handbook: \d+ documents, no queries$", said, flags=re.MULTILINE)
    assert re.search(r"^few test queries: about \d+, and with fewer than 30 compare gives no", said, flags=re.MULTILINE)
    assert ("language model: qwen at http://localhost:8080/v1 is asked about" in said) == bool(llm)


def test_language_model_without_a_server_is_refused(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="OPENAI_BASE_URL: expected the address of a server"):
        project.start(
            write(tmp_path / "handbook", {"rules.md": "Some text about the rules of a house that has many."}),
            llm="qwen",
        )
    assert project.added_lines() == 0


@pytest.mark.parametrize("name", ["2024", "null", "1e5"])
def test_name_that_yaml_takes_for_no_text(tmp_path: Path, project: Project, name: str) -> None:
    data = write(tmp_path / name, {"train.csv": csv("question", "answer")})
    project.start(data)
    assert f"data_{name}" in project.params()["convert"]
    with pytest.raises(InputError, match="NAME: expected a name of a-z, 0-9 and _ that YAML takes for a text"):
        project.start(data, name=name)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.jsonl": '{"query": "q", "positive": "p", "label": 1}\n{"query": "r", "positive": "s"}\n'},
            "expected labels",
        ),
        ({"a.jsonl": "{}\n"}, "a.jsonl with the columns of an empty object"),
        ({"a.json": '{"query": "q", "positive": "p"}\n{"query": "r", "positive": "s"}\n'}, "rename the file to .jsonl"),
        ({"a.rst": "Title\n=====\nText."}, "convert others to Markdown, for example with pandoc"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, project: Project, files: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        project.start(write(tmp_path / "data", files))


def test_page_about_qrels_is_a_document(tmp_path: Path, project: Project) -> None:
    files = {
        "qrels.md": "Some text about the judgments of people in a village.",
        "other.md": "And another text about them that has enough words too.",
    }
    assert "format documents" in project.start(write(tmp_path / "handbook", files))


def test_test_queries_without_train_queries_measure_a_model_of_synthetic_ones(tmp_path: Path, project: Project) -> None:
    project.start(write(tmp_path / "handbook", beir("test")))
    params = project.params()
    assert {name: params["convert"]["handbook"][name] for name in ("dev", "test")} == {"dev": 0.0, "test": "given"}
    assert params["eval"]["models"][-2:] == ["minilm_handbook_synthetic", "minilm_handbook_synthetic_merged"]
    merged = params["merge"]["minilm_handbook_synthetic_merged"]
    assert [merged[name] for name in ("dev", "guard", "weight")] == ["handbook_synthetic", "science", "search"]
    assert params["eval"]["datasets"][-1] == "handbook"
    assert project.converted("handbook") == {"train": 0, "dev": 0, "test": 7}


def test_dev_queries_alone_become_test_queries(tmp_path: Path, project: Project) -> None:
    project.start(write(tmp_path / "handbook", beir("dev")))
    assert project.params()["convert"]["handbook"]["assign_all_to"] == "test"
    assert project.converted("handbook") == {"train": 0, "dev": 0, "test": 2}


def test_files_named_by_hand_cost_no_more_lines(tmp_path: Path, project: Project) -> None:
    names = [f"{kind}.{split}.tsv" for split in ("train", "dev", "test") for kind in ("queries", "qrels")]
    content: dict[str, object] = {"collection.tsv": "".join(f"d{name}\t{RULES[name]}\n" for name in ANIMALS)}
    for name in names:
        of_split = [animal for animal in ANIMALS if SPLIT_OF[animal] == name.split(".")[1]]
        line = "q{0}\td{0}\n" if name.startswith("qrels") else "q{0}\t{1}\n"
        content[name] = "".join(line.format(animal, QUESTIONS[animal]) for animal in of_split)
    project.start(write(tmp_path / "handbook", content))
    assert project.converted("handbook") == {"train": 11, "dev": 2, "test": 7}
    assert project.added_lines() <= MOST_LINES
    check(project.params())


def test_what_cannot_be_used_is_allowed_if_it_is_little(tmp_path: Path, project: Project) -> None:
    content = beir("train")
    content["corpus.jsonl"] = [
        *content["corpus.jsonl"],  # type: ignore[misc]
        {"_id": "blank", "text": " "},
    ]
    project.start(write(tmp_path / "handbook", content))
    assert project.params()["convert"]["handbook"]["max_unusable"] == 0.05  # 1 of 21 documents: 0.0477, rounded up
    project.converted("handbook")


def test_output_shows_the_diff_and_the_plan(tmp_path: Path, project: Project) -> None:
    said = project.start(write(tmp_path / "faq.csv", {"faq.csv": csv("question", "answer")}) / "faq.csv")
    lines = said.splitlines()
    assert f"copied {tmp_path / 'faq.csv/faq.csv'} to data/raw/faq.csv" in lines
    assert "+++ params.yaml" in lines
    assert "+    query: question" in lines
    assert [line for line in lines if line.startswith("-")] == ["--- params.yaml"]
    assert "faq: 20 documents, 20 train queries" in lines
    assert "few test queries: about 7, and with fewer than 30 compare gives no verdict" in lines
    assert any(line.startswith("make repro will fetch") or "make repro will convert faq" in line for line in lines)


def test_second_call_is_refused_and_changes_nothing(tmp_path: Path, project: Project) -> None:
    data = write(tmp_path / "handbook", beir("train"))
    project.start(data)
    text = project.text()
    with pytest.raises(InputError, match=r"^params.yaml: convert.handbook: expected no such entry, found one"):
        project.start(data)
    assert project.text() == text


def test_name_of_an_entry_is_refused_and_nothing_is_copied(tmp_path: Path, project: Project) -> None:
    data = write(tmp_path / "handbook", beir("train"))
    with pytest.raises(InputError, match="convert.science: expected no such entry, found one; nothing is changed"):
        project.start(data, name="science")
    assert (project.text(), list(Path.cwd().rglob("data/raw/*"))) == (project.before, [])


def test_stop_before_the_end_leaves_params_as_they_were(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(place: Path) -> str:
        raise KeyboardInterrupt

    data = write(tmp_path / "handbook", beir("train"))
    track = raw_data.track
    monkeypatch.setattr(raw_data, "track", stop)
    with pytest.raises(KeyboardInterrupt):
        project.start(data)
    assert project.text() == project.before
    monkeypatch.setattr(raw_data, "track", track)
    project.start(data)  # goes on with the copy
    assert "handbook" in project.params()["convert"]


def test_params_are_written_whole_or_not_at_all(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        project.start(write(tmp_path / "handbook", beir("train")))
    assert project.text() == project.before
    assert [path.name for path in Path.cwd().glob(".params*")] == []


def test_params_that_are_wrong_already_are_said_and_stay(tmp_path: Path, project: Project) -> None:
    wrong = project.before.replace("epochs: 2", "epochs: two")
    Path("params.yaml").write_text(wrong, encoding="utf-8")
    with pytest.raises(InputError, match=r"defaults.finetune.epochs: expected integer, got 'two'"):
        project.start(write(tmp_path / "handbook", beir("train")))
    assert (project.text(), Path("data").exists()) == (wrong, False)


def test_comments_of_params_are_kept(tmp_path: Path, project: Project) -> None:
    Path("params.yaml").write_text(
        project.before.replace("\nmine:\n", "\n# Recipes\nmine:  # all of them\n"), encoding="utf-8"
    )
    project.start(write(tmp_path / "handbook", beir("train")))
    assert "\n# Recipes\nmine:  # all of them\n" in project.text()


def test_data_that_its_reader_refuses_is_named_before_anything_is_copied(tmp_path: Path, project: Project) -> None:
    content = beir("train") | {"queries.jsonl": "{broken\n"}
    with pytest.raises(InputError, match=r"queries.jsonl:1: expected"):
        project.start(write(tmp_path / "handbook", content))
    assert not Path("data").exists()


def test_base_that_is_not_fetched_is_refused(tmp_path: Path, project: Project) -> None:
    with pytest.raises(InputError, match="fetch: expected an entry 'e5', the model to tune, found minilm, bm25"):
        project.start(write(tmp_path / "handbook", beir("train")), base="e5")


@pytest.mark.parametrize(
    ("text", "language"),
    [("Der Antrag auf Urlaub ist beim Vorgesetzten zu stellen.", "de"), ("申请休假应当向主管提出书面申请。", "zh")],
)
def test_texts_that_the_base_does_not_know_get_advice(
    text: str, language: str, tmp_path: Path, project: Project
) -> None:
    content = "question,answer\n" + "".join(f"{n} {text[:12]},{text} {n}\n" for n in range(20))
    said = project.start(write(tmp_path, {"faq.csv": content}) / "faq.csv")
    assert f"language: most texts look like '{language}', and minilm knows English only" in said


def test_project_without_params_is_refused(tmp_path: Path, project: Project) -> None:
    Path("params.yaml").unlink()
    with pytest.raises(InputError, match=r"params.yaml: expected the parameters of this project, found nothing"):
        project.start(write(tmp_path / "handbook", beir("train")))


def test_base_that_was_not_measured_yet_is_measured_too(tmp_path: Path, project: Project) -> None:
    entry = project.text()[project.text().index("  minilm:\n") : project.text().index("  bm25:\n")]
    second = project.text().replace(entry, entry + entry.replace("minilm:", "second:"), 1)
    (project.folder / "params.yaml").write_text(second, encoding="utf-8")
    project.start(write(tmp_path / "handbook", beir("train")), base="second")
    assert project.params()["eval"]["models"][-2:] == ["second", "second_handbook"]
    check(project.params())
