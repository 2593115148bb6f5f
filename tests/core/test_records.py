"""Tables read back are the tables written."""

from pathlib import Path

import pandas as pd
import pytest

from retune.core.records import (
    Dataset,
    Split,
    empty_split,
    read_corpus,
    read_mined,
    read_split,
    write_dataset,
    write_mined,
)
from retune.encoding.encoder import Encoder, query_inputs
from retune.models.directory import read_encoding
from retune.training.dev_scoring import evaluate
from tests.support.parameters import COMPUTE
from tests.support.training_task import corpus, mined, split


def written(folder: Path, dev: Split) -> Split:
    write_dataset(folder, Dataset(corpus(), {"train": empty_split(), "dev": dev, "test": empty_split()}))
    return read_split(folder, "dev")


@pytest.mark.parametrize("prompts", [[None] * 24, ["Find: ", *[None] * 23], ["Find: "] * 24])
def test_missing_text_is_none(prompts: list[str | None], tmp_path: Path) -> None:
    dev = split()
    queries = written(tmp_path, Split(dev.queries.assign(prompt=prompts), dev.qrels)).queries
    assert queries["prompt"].tolist() == prompts
    assert queries["answer"].tolist() == [None] * 24
    assert read_corpus(tmp_path)["title"].tolist() == [None] * 24
    write_mined(tmp_path / "mined", mined())
    assert read_mined(tmp_path / "mined").queries["prompt"].tolist() == [None] * 24


def test_scores_of_data_read_back_are_those_of_the_data(tiny_model: Path, tmp_path: Path) -> None:
    encoder = Encoder.load(tiny_model, COMPUTE)
    expected = evaluate(encoder, corpus(), split(), [3])
    dev = written(tmp_path, split())
    pd.testing.assert_frame_equal(evaluate(encoder, read_corpus(tmp_path), dev, [3]), expected, check_dtype=False)


def test_query_input_refuses_what_is_no_text(tiny_model: Path) -> None:
    encoding = read_encoding(tiny_model)
    assert query_inputs(["sum"], [None], encoding) == ["sum"]
    with pytest.raises(TypeError):
        query_inputs(["sum"], [float("nan")], encoding)  # type: ignore[list-item]
