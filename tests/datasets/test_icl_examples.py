"""Examples before the queries of dev and test: which may be drawn, seeded, each query by itself."""

import pandas as pd

from retune.datasets.icl_examples import add_examples

SUBJECT_AND_CONSTRUCT, SUBJECT = "subject and construct", "subject"


def table(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    """Return queries of (id, split, question, `subject construct`), each with an example named after it."""
    queries = pd.DataFrame(rows, columns=["query_id", "split", "group", "about"])
    topics = [((SUBJECT_AND_CONSTRUCT, about), (SUBJECT, about.split()[0])) for about in queries["about"]]
    return queries.assign(prompt="task ", topics=topics, example=queries["query_id"] + " solved, ")


def prompts(queries: pd.DataFrame, seed: int = 1) -> dict[str, str]:
    result, _ = add_examples(queries, seed=seed)
    return dict(zip(result["query_id"], result["prompt"], strict=True))


TRAIN = [
    ("t1", "train", "1", "sums carry"),
    ("t2", "train", "2", "sums borrow"),
    ("t3", "train", "3", "shapes area"),
]


def test_example_shares_subject_and_construct_else_the_subject_else_nothing() -> None:
    asking = [
        ("d1", "dev", "4", "sums carry"),  # t1 alone has both
        ("d2", "test", "5", "shapes angle"),  # no such construct: t3 alone has the subject
        ("d3", "test", "6", "charts bars"),  # nothing: any of the three
    ]
    found = prompts(table(*TRAIN, *asking))
    assert found["d1"] == "t1 solved, task "
    assert found["d2"] == "t3 solved, task "
    assert found["d3"] in {f"{name} solved, task " for name in ("t1", "t2", "t3")}
    _, counts = add_examples(table(*TRAIN, *asking), seed=1)
    assert counts == {SUBJECT_AND_CONSTRUCT: 1, SUBJECT: 1, "any": 1}


def test_training_queries_get_none() -> None:
    found = prompts(table(*TRAIN, ("d1", "dev", "4", "sums carry")))
    assert {found[name] for name in ("t1", "t2", "t3")} == {"task "}


def test_example_is_of_another_question_and_of_train() -> None:
    own_question = ("d1", "test", "1", "sums carry")  # t1 is of the same question, so t2 for the subject
    other_test = ("d2", "test", "7", "sums carry")
    assert prompts(table(*TRAIN, own_question, other_test))["d1"] == "t2 solved, task "
    _, counts = add_examples(table(TRAIN[0], own_question), seed=1)
    assert counts == {"none": 1}
    assert prompts(table(TRAIN[0], own_question))["d1"] == "task "


def test_draw_depends_on_the_seed_and_the_query_alone() -> None:
    train = [(f"t{number}", "train", str(number), "sums carry") for number in range(20)]
    asking = [(f"d{number}", "dev", f"d{number}", "sums carry") for number in range(20)]
    whole, alone = prompts(table(*train, *asking)), prompts(table(*train, asking[7]))
    assert alone["d7"] == whole["d7"]
    assert len(set(whole.values())) > 5
    assert prompts(table(*train, *asking)) == whole != prompts(table(*train, *asking), seed=2)


def test_query_without_a_prompt_has_the_example_alone_and_without_an_example_nothing() -> None:
    queries = table(*TRAIN, ("d1", "dev", "4", "sums carry")).assign(prompt=None)
    assert prompts(queries)["d1"] == "t1 solved, "
    result, counts = add_examples(queries.assign(example=None), seed=1)
    assert result["prompt"].isna().all()
    assert counts == {}
