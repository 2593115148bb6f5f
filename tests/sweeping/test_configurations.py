"""Wrong arguments, parameters and inputs end a sweep with one line, before anything is trained."""

import re
from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.core.records import empty_split, write_splits
from retune.sweeping.configurations import read_sweep
from retune.sweeping.request import Request
from tests.support.sweeps import FOLDERS, change_entry, request_of

pytestmark = pytest.mark.usefixtures("project")
LABELS = {"labels": "0.5,1"}
RATES = "learning_rate=1e-3,1e-4"


def fails(request: Request, line: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        read_sweep(request, FOLDERS)


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (Request("mine.words", [RATES]), "sweep: expected finetune.<model>, got 'mine.words'"),
        (Request("tuned", [RATES]), "sweep: expected finetune.<model>, got 'tuned'"),
        (Request("finetune.", [RATES]), "sweep: expected finetune.<model>, got 'finetune.'"),
        (
            Request("finetune.bert", [RATES]),
            "params.yaml: finetune: expected an entry 'bert', found tuned",
        ),
        (
            request_of(),
            "sweep: expected either --try or --labels, got neither; write for example --try learning_rate=2e-5,5e-5",
        ),
        (
            request_of(RATES, **LABELS),
            "sweep: expected either --try or --labels, got both; write for example --try learning_rate=2e-5,5e-5",
        ),
        (
            request_of(**LABELS, random="2"),
            "--random: expected with --try only, which it draws from, got --labels; remove it",
        ),
        (request_of(RATES, minutes="0"), "--minutes: expected a number above 0, got '0'"),
        (request_of(RATES, minutes="-1"), "--minutes: expected a number above 0, got '-1'"),
        (request_of(RATES, minutes="inf"), "--minutes: expected a number above 0, got 'inf'"),
        (request_of(RATES, minutes="an hour"), "--minutes: expected a number above 0, got 'an hour'"),
        (
            request_of("learning_rte=1e-3"),
            "--try: finetune.tuned.learning_rte: unknown parameter; remove it or fix the spelling",
        ),
        (
            request_of("averaging.from_epok=1"),
            "--try: finetune.tuned.averaging.from_epok: unknown parameter; remove it or fix the spelling",
        ),
        (request_of("epochs=1,many"), "--try: finetune.tuned.epochs: expected integer, got 'many'"),
        (request_of("epochs=1,1.5"), "--try: finetune.tuned.epochs: expected integer, got 1.5"),
        (request_of("batch_size=0"), "--try: finetune.tuned.batch_size: expected greater than 0, got 0"),
        (
            request_of("data=unknown"),
            "--try: finetune.tuned.data: expected an entry of mine or mix (words, other), got 'unknown'",
        ),
        (
            request_of("data=words,other"),
            "data/mined/other/examples.parquet: expected an input of the training, found nothing; "
            "run dvc repro mine@other",
        ),
        (
            request_of(labels="0.1,1"),
            "--labels: expected at least a batch of 8 queries of 'words', got 0.1 of 24; raise it to 0.34, or lower "
            "batch_size",
        ),
        (
            request_of(labels="0.5,0.51"),
            "--labels: expected shares that differ in queries, got 0.5 and 0.51; remove one",
        ),
    ],
)
def test_wrong_argument_is_one_line(request_: Request, line: str) -> None:
    fails(request_, line)
    assert not list(Path("reports").rglob("*"))


@pytest.mark.parametrize("request_", [request_of(RATES), request_of(**LABELS)], ids=["grid", "labels"])
@pytest.mark.parametrize(
    ("absent", "line"),
    [
        ("data/mined/words", "data/mined/words/examples.parquet: {}; run dvc repro mine@words"),
        ("models/tiny", "models/tiny: {}; run dvc repro fetch@tiny"),
        ("data/datasets/words/dev", "data/datasets/words/dev: {}; run dvc repro convert@words"),
    ],
)
def test_absent_input_names_the_stage_that_makes_it(request_: Request, absent: str, line: str) -> None:
    Path(absent).rename("elsewhere")
    fails(request_, line.format("expected an input of the training, found nothing"))


def test_guide_is_needed_only_where_it_masks() -> None:
    change_entry(guide="other")
    assert len(read_sweep(request_of(RATES), FOLDERS).configurations) == 2
    fails(
        request_of("guide_margin=null,0.0"),
        "--try: finetune.tuned.guide: expected an entry of fetch or finetune or merge or export (tiny, tuned), "
        "got 'other'",
    )


@pytest.mark.parametrize("request_", [request_of(RATES), request_of(**LABELS)], ids=["grid", "labels"])
def test_dev_split_without_queries_is_refused(request_: Request) -> None:
    splits = dict.fromkeys(("train", "dev", "test"), empty_split())
    write_splits(Path("data/datasets/words"), splits)
    fails(
        request_,
        "data/datasets/words: expected dev queries, got an empty dev split; set convert.<name>.dev to make one",
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"epochs": "many"}, "epochs: expected integer, got 'many'"),
        ({"method": "none"}, "method: expected a method that trains, got none"),
    ],
)
def test_entry_must_be_valid_and_train_by_itself(changes: dict[str, str], line: str) -> None:
    change_entry(**changes)
    fails(request_of("epochs=1,2"), f"params.yaml: finetune.tuned.{line}")


def test_grid_is_read_back_with_the_seed_of_each_configuration() -> None:
    sweep = read_sweep(request_of("seed=7,null", "epochs=2", random="2", minutes="1.5"), FOLDERS)
    assert {configuration.values["seed"]: configuration.task.seed for configuration in sweep.configurations} == {
        7: 7,
        None: 3,
    }
    assert {configuration.scored.seed for configuration in sweep.configurations} == {3}
    assert {configuration.task.params.epochs for configuration in sweep.configurations} == {2}
    assert (sweep.size, sweep.seed, sweep.seconds) == (2, 3, 90.0)


def test_training_on_all_labels_reads_the_mined_set_itself() -> None:
    few, every = read_sweep(request_of(**LABELS), FOLDERS).configurations
    assert every.task.mined == Path("data/mined/words")
    assert every.values == {"share": 1.0, "queries": 24}
    assert few.task.mined == Path(".retune/sweeps/tuned/words_12")
    assert few.values == {"share": 0.5, "queries": 12}
    assert few.scored == every.task
