"""Choices of one machine come from the environment, and a wrong one is named."""

from dataclasses import replace
from pathlib import Path

import pytest

import stages.check
from retune.core.errors import InputError
from retune.core.local_settings import VARIABLES, read_local_settings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_without_variables_the_cache_is_in_the_home_folder() -> None:
    settings = read_local_settings()
    assert settings.cache == Path("~/.cache/retune/embeddings").expanduser()
    assert (settings.cache_gb, settings.checkpoint_minutes, settings.report_to, settings.data_workers) == (10, 5, [], 0)
    assert (settings.replies, settings.llm_concurrency) == (Path("data/replies"), 16)


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "CACHE": "",
        "CACHE_GB": "0.5",
        "CHECKPOINT_MINUTES": "2",
        "REPORT_TO": "wandb, mlflow",
        "DATA_WORKERS": "3",
        "REPLIES": "~/replies",
        "LLM_CONCURRENCY": "64",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"RETUNE_{name}", value)
    settings = read_local_settings()
    assert settings.cache is None
    assert (settings.cache_gb, settings.checkpoint_minutes) == (0.5, 2.0)
    assert (settings.report_to, settings.data_workers) == (["wandb", "mlflow"], 3)
    assert (settings.replies, settings.llm_concurrency) == (Path("~/replies").expanduser(), 64)


def test_empty_variables_are_as_absent_except_for_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = read_local_settings()
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
    assert read_local_settings() == replace(absent, cache=None)


def test_variables_are_checked_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETUNE_CHACHE", "x")
    with pytest.raises(InputError, match=r"^RETUNE_CHACHE: unknown variable"):
        stages.check.main()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RETUNE_CACHE", __file__, f"RETUNE_CACHE: expected a folder, got the file '{__file__}'; fix it or unset it"),
        ("RETUNE_CHACHE", "x", "RETUNE_CHACHE: unknown variable; expected one of RETUNE_CACHE, "),
        ("RETUNE_CACHE_GB", "0", "RETUNE_CACHE_GB: expected a number above 0, got '0'; fix it or unset it"),
        ("RETUNE_CHECKPOINT_MINUTES", "soon", "RETUNE_CHECKPOINT_MINUTES: expected a number above 0, got 'soon'"),
        ("RETUNE_DATA_WORKERS", "-1", "RETUNE_DATA_WORKERS: expected a whole number >= 0, got '-1'"),
        (
            "RETUNE_REPLIES",
            __file__,
            f"RETUNE_REPLIES: expected a folder, got the file '{__file__}'; fix it or unset it",
        ),
        ("RETUNE_LLM_CONCURRENCY", "0", "RETUNE_LLM_CONCURRENCY: expected a whole number >= 1, got '0'"),
    ],
)
def test_wrong_variable_is_named(name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"^{message}"):
        read_local_settings()
