"""Negatives that answer their query become positives or are left out; the judge is a server, or a cross-encoder."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retune.core.errors import InputError, ParameterError
from retune.core.files import sha256
from retune.core.records import Mined, Split, write_mined
from retune.mining import mine as mining
from retune.mining.audit import audit, suspects, tables
from retune.mining.inputs import gather
from retune.mining.mine import mine
from retune.mining.outcome import Outcome
from retune.params.mine import Mine
from retune.retrieval.cross_encoder import CrossEncoderScorer
from tests.llm.conftest import replies, start
from tests.support import parameters
from tests.support.keyword_encoder import KeywordEncoder
from tests.support.llm_requests import LLM
from tests.support.llm_server import Body, LlmServer, Response, completion, error, reply
from tests.support.repository import REPOSITORY

__all__ = ["replies", "start"]

Start = Callable[..., LlmServer]
AXES = ["red", "green", "blue", "round", "square"]
# "red" scores d0 1, d1 0.894, d2 0.707, d3 0.447, d4 and d5 0
COLOURS = ["red", "red red green", "red green", "red green green", "blue", "square"]
RELABEL = {"by": "llm", "above": 0.5, "lowest": 7, "becomes": "positive", "document_words": 50, "llm": LLM}


def text(colours: str) -> str:
    return f"This is what the people of the village have written about {colours} in their book."


def corpus_of(colours: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {"doc_id": [f"d{n}" for n in range(len(colours))], "title": None, "text": [text(some) for some in colours]}
    )


def split(queries: dict[str, str], *judgments: tuple[str, str, int]) -> Split:
    frame = pd.DataFrame({"query_id": list(queries), "text": list(queries.values()), "prompt": None, "answer": None})
    return Split(frame, pd.DataFrame(judgments, columns=["query_id", "doc_id", "relevance"]))


RED = split({"q": "red"}, ("q", "d0", 1))


def recipe(relabel: dict[str, Any] | None = RELABEL, **changed: Any) -> Mine:
    values = {"range": [0, 6], "negatives": 2, "sampling": "top", "relabel": relabel} | changed
    return Mine.parse("mine.x", parameters.recipe("colours", "words", **values))


class Result:
    """What was mined, with what is written of it."""

    def __init__(self, mined: Mined, outcome: Outcome, inputs: Any, params: Mine) -> None:
        self.mined, self.outcome, self.inputs = mined, outcome, inputs
        self.audit = audit(inputs, outcome, params)
        self.tables = tables(inputs, outcome)
        self.relabelled = self.tables["relabelled"]

    def ids(self, column: str) -> dict[str, list[str]]:
        return dict(zip(self.mined.examples["query_id"], self.mined.examples[f"{column}_ids"], strict=True))


def run(
    params: Mine,
    train: Split = RED,
    colours: list[str] = COLOURS,
    *,
    scorer: CrossEncoderScorer | None = None,
    prompts: Path = REPOSITORY / "prompts",
) -> Result:
    encoder = KeywordEncoder(*AXES)
    inputs = gather(corpus_of(colours), train, None, params)
    mined, outcome = mine(inputs, encoder, scorer or encoder, params, seed=3, prompts=prompts)
    return Result(mined, outcome, inputs, params)


def colours_of(body: Body) -> str:
    user = body["messages"][1]["content"]
    return re.search(r"<document>\n.* about (.*) in their book.\n</document>", user)[1]


def answered_by(*answers: str) -> Callable[[Body, int], Response]:
    """Judge the documents about these colours to answer every query, and no other."""
    return lambda body, before: reply({"score": 9 if colours_of(body) in answers else 2})


def test_negative_that_answers_becomes_a_positive_with_its_score(start: Start) -> None:
    server = start(answered_by("red red green"))
    result = run(recipe())
    assert result.ids("positive") == {"q": ["d0", "d1"]}
    assert result.mined.examples["positive_scores"][0] == pytest.approx([1.0, 0.8944], abs=1e-4)
    # of d1 and d2, which score at least 0.5, d2 does not answer; d3 is the next in the range
    assert result.ids("negative") == {"q": ["d2", "d3"]}
    assert sorted(colours_of(received.body) for received in server.received) == ["red green", "red red green"]
    assert result.mined.documents["doc_id"].tolist() == ["d0", "d1", "d2", "d3"]


def test_negative_that_answers_can_be_left_out(start: Start) -> None:
    start(answered_by("red red green"))
    result = run(recipe(RELABEL | {"becomes": "left_out"}))
    assert result.ids("positive") == {"q": ["d0"]}
    assert result.ids("negative") == {"q": ["d2", "d3"]}
    assert result.audit["relabel"]["became_positive"] == 0
    assert result.audit["relabel"]["left_out"] == 1


def test_positives_stay_in_the_order_of_the_corpus(start: Start) -> None:
    start(answered_by("red red green"))
    result = run(recipe(), split({"q": "red"}, ("q", "d0", 1), ("q", "d2", 1)))
    assert result.ids("positive") == {"q": ["d0", "d1", "d2"]}
    assert result.mined.examples["positive_scores"][0] == pytest.approx([1.0, 0.8944, 0.7071], abs=1e-4)


def test_audit_counts_and_the_table_lists_with_texts(start: Start) -> None:
    start(answered_by("red red green"))
    result = run(recipe())
    counts = result.audit["relabel"]
    assert {name: counts[name] for name in ("asked", "unanswered", "became_positive", "left_out")} == {
        "asked": 2,
        "unanswered": 0,
        "became_positive": 1,
        "left_out": 0,
    }
    assert counts["judge"]["answered"] == 2
    assert result.audit["positives"] == 2
    assert result.audit["negatives_from"] == {"[0, 6)": 2}
    assert "village" not in json.dumps(result.audit)
    [row] = result.relabelled.to_dict("records")
    assert row == {
        "query_id": "q",
        "query": "red",
        "doc_id": "d1",
        "document": text("red red green"),
        "score": pytest.approx(0.8944, abs=1e-4),
        "judge_score": 9.0,
        "becomes": "positive",
    }


def test_beginning_of_a_long_document_is_shown(start: Start) -> None:
    server = start(lambda body, before: reply({"score": 2}))
    words = len(text("red green").split())  # d1 has a word more, d2 as many
    result = run(recipe(RELABEL | {"document_words": words}))
    shown = [received.body["messages"][1]["content"] for received in server.received]
    assert sorted("in their book." in content for content in shown) == [False, True]
    assert result.audit["relabel"]["documents_cut"] == 1


def test_suspects_are_compared_with_the_new_positives(start: Start) -> None:
    start(answered_by("red green"))
    table = suspects(*[getattr(run(recipe()), name) for name in ("inputs", "outcome")])
    assert table[["doc_id", "positive_id"]].to_numpy().tolist() == [["d1", "d2"], ["d3", "d2"]]


def test_recipe_that_does_not_relabel_writes_nothing_of_it(tmp_path: Path) -> None:
    result = run(recipe(None))
    assert "relabel" not in result.audit
    write_mined(tmp_path / "mined", result.mined, **result.tables)
    assert not (tmp_path / "mined/relabelled.parquet").exists()


@pytest.mark.parametrize(
    ("shortage", "negatives"),
    [("fewer", ["d3"]), ("random", ["d3", "d5"])],
)
def test_shortage_after_relabelling_is_filled_as_the_recipe_says(
    start: Start, shortage: str, negatives: list[str]
) -> None:
    start(answered_by("red red green", "red green"))
    # ranks 0 to 3 are d0 to d3, and chance chooses d5 of the others
    result = run(recipe(range=[0, 4], shortage=shortage))
    assert result.ids("positive") == {"q": ["d0", "d1", "d2"]}
    assert result.ids("negative") == {"q": negatives}
    assert result.audit["queries_short"] == 1
    assert result.audit["queries_with_fewer_negatives"] == 2 - len(negatives)


def test_shortage_after_relabelling_can_be_refused(start: Start) -> None:
    start(answered_by("red red green", "red green"))
    with pytest.raises(InputError, match="expected 2 negatives for every query, got fewer for 1 of 1 queries"):
        run(recipe(range=[0, 4], shortage="fail"))


def test_what_takes_the_place_scores_too_low_to_be_asked_about(start: Start) -> None:
    server = start(answered_by("red red green"))
    result = run(recipe(negatives=1))
    # d2 is next, but scores 0.707 and was not asked about
    assert result.ids("negative") == {"q": ["d3"]}
    assert len(server.received) == 1


def test_answer_is_no_negative_of_a_query_with_the_same_text(start: Start) -> None:
    def only_lower_case(body: Body, before: int) -> Response:
        return reply({"score": 9 if "\nred\n" in body["messages"][1]["content"] else 1})

    start(only_lower_case)
    train = split({"q": "red", "r": "RED"}, ("q", "d0", 1), ("r", "d0", 1))
    encoder_reads = [*COLOURS[:2], *COLOURS[3:]]
    result = run(recipe(range=[0, 3], negatives=1), train, encoder_reads)
    assert result.ids("positive") == {"q": ["d0", "d1"], "r": ["d0"]}
    assert all("d1" not in negatives for negatives in result.ids("negative").values())


def test_near_duplicate_of_an_answer_goes_with_it(start: Start) -> None:
    start(answered_by("red red green"))
    colours = ["red", "red red green", "red red green green", "square"]
    result = run(recipe(near_duplicate=0.95), colours=colours)  # 0.97 for d1 and d2, 0.85 for d0 and d1
    assert result.ids("negative") == {"q": ["d3"]}
    assert result.audit["rejected"]["near_duplicate"] == 1
    assert result.audit["negatives_from"] == {"[0, 6)": 1}


def test_judged_documents_are_asked_about_too(start: Start) -> None:
    start(answered_by("red red green"))
    train = split({"q": "red"}, ("q", "d0", 1), ("q", "d1", 0), ("q", "d5", 0))
    result = run(recipe(negatives_from="given"), train)
    assert result.ids("positive") == {"q": ["d0", "d1"]}
    assert result.ids("negative") == {"q": ["d5"]}
    assert result.audit["negatives_from"] == {"judged": 1}


def test_negative_without_a_reply_stays_and_is_counted(start: Start) -> None:
    start(lambda body, before: Response(completion(None, refusal="I cannot")))
    result = run(recipe())
    assert result.ids("negative") == {"q": ["d1", "d2"]}
    assert result.audit["relabel"]["unanswered"] == 2
    assert result.audit["relabel"]["judge"]["problems"] == {"refused": 2}
    assert result.relabelled.empty


def test_server_that_fails_for_many_requests_stops_the_stage(start: Start) -> None:
    start(lambda body, before: error(500, "broken") if "red red" in colours_of(body) else reply({"score": 1}))
    with pytest.raises(
        InputError, match="judge: expected replies to nearly all requests, got none to 1 of the first . .server err"
    ):
        run(recipe())


def test_budget_goes_to_the_highest_scores(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETUNE_LLM_CONCURRENCY", "1")
    server = start(answered_by("red red green", "red green"))
    result = run(recipe(RELABEL | {"llm": LLM | {"budget": {"tokens": 15}}}))
    assert [colours_of(received.body) for received in server.received] == ["red red green"]
    assert result.ids("positive") == {"q": ["d0", "d1"]}
    assert result.ids("negative") == {"q": ["d2", "d3"]}
    assert result.audit["relabel"]["unanswered"] == 1


def test_second_run_needs_no_server_and_writes_the_same(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(answered_by("red red green"))
    written = []
    for name in ("first", "second"):
        result = run(recipe(shortage="random"))
        write_mined(tmp_path / name, result.mined, **result.tables)
        files = {path.name: sha256(path) for path in sorted((tmp_path / name).iterdir())}
        written.append((files, json.dumps(result.audit)))
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert "relabelled.parquet" in written[0][0]
    assert written[0] == written[1]


def test_other_queries_change_nothing(start: Start) -> None:
    start(answered_by("red red green", "green", "blue"))
    queries = {"q": "red", "r": "green", "s": "blue"}
    judgments = (("q", "d0", 1), ("r", "d3", 1), ("s", "d5", 1))
    params = recipe(sampling="uniform", negatives=3, shortage="random")
    together = run(params, split(queries, *judgments))
    for number, (name, wording) in enumerate(queries.items()):
        alone = run(params, split({name: wording}, judgments[number]))
        for column in ("positive", "negative"):
            assert alone.ids(column)[name] == together.ids(column)[name]


def test_blocks_of_any_size_relabel_the_same(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    start(answered_by("red red green", "green", "blue"))
    queries = {f"q{n}": colour for n, colour in enumerate(["red", "green", "blue", "red green", "square"])}
    train = split(queries, *((name, "d0", 1) for name in queries))
    params = recipe(keep_judged=True, shortage="random")
    whole = run(params, train)
    monkeypatch.setattr(mining, "CANDIDATES_A_BLOCK", 12)  # two queries of six ranks
    pd.testing.assert_frame_equal(run(params, train).mined.examples, whole.mined.examples)
    assert whole.audit["relabel"]["became_positive"] > 1


class WordScorer(CrossEncoderScorer):
    """A cross-encoder whose score is the number of a document's words that are the query, minus 1."""

    def __init__(self) -> None:
        self.truncated = {"pairs": 0}

    def score(self, queries: list[str], documents: list[str]) -> np.ndarray:
        pairs = zip(queries, documents, strict=True)
        return np.array([document.split().count(query) - 1 for query, document in pairs], dtype=np.float32)


BY_SCORER = {"by": "cross_encoder", "lowest": 0.5, "becomes": "positive"}


def test_cross_encoder_that_scores_also_judges() -> None:
    result = run(recipe(BY_SCORER), scorer=WordScorer())
    # "red": d1 scores 1, the other reds 0
    assert result.ids("positive") == {"q": ["d0", "d1"]}
    assert result.mined.examples["positive_scores"][0] == [0.0, 1.0]
    assert result.ids("negative") == {"q": ["d2", "d3"]}
    assert result.audit["relabel"] == {"asked": 2, "unanswered": 0, "became_positive": 1, "left_out": 0}
    assert result.relabelled["judge_score"].tolist() == [1.0]


def test_scorer_that_is_no_cross_encoder_cannot_judge() -> None:
    with pytest.raises(InputError, match="colours: relabel.by cross_encoder: expected a scorer that is a cross-enc"):
        run(recipe(BY_SCORER))


def test_prompt_is_needed_before_anything_is_mined(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"judge/en\.yaml: expected a prompt in the language of the corpus, found no"):
        run(recipe(), prompts=tmp_path)


@pytest.mark.parametrize(
    ("relabel", "line"),
    [
        (RELABEL | {"llm": None}, "mine.x.relabel: llm: missing; add it, or write by: cross_encoder"),
        (
            RELABEL | {"document_words": None},
            "relabel: document_words: expected a number of words with by llm, and none",
        ),
        (BY_SCORER | {"document_words": 9}, "which cuts documents itself, got 9 with cross_encoder"),
        (RELABEL | {"above": None}, "relabel: above: expected a score with by llm, and none with cross_encoder"),
        (BY_SCORER | {"above": 0.5}, "whose score alone decides, got 0.5 with cross_encoder"),
        (RELABEL | {"lowest": 11}, "relabel: lowest: expected a score from 1 to 10 with by llm, got 11"),
        (RELABEL | {"becomes": "negative"}, "mine.x.relabel.becomes: expected"),
        (RELABEL | {"by": "person"}, "mine.x.relabel.by: expected"),
    ],
)
def test_wrong_parameter_is_named(relabel: dict[str, Any], line: str) -> None:
    with pytest.raises(ParameterError, match=line):
        recipe(relabel)


def test_scores_of_the_data_set_cannot_be_relabelled() -> None:
    with pytest.raises(ParameterError, match="relabel: expected negatives_from mined or given beside it"):
        recipe(negatives_from="scored")
