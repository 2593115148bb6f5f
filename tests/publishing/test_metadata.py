"""Metadata name repositories and licences of the Hub only where there are such."""

from pathlib import Path

import pytest

from retune.core.files import write_json
from retune.core.provenance import Origin
from retune.publishing.judged import read_judged
from retune.publishing.metadata import card_metadata, hub_name, read_languages


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("https://huggingface.co/org/model at 0123", "org/model"),
        ("https://huggingface.co/org/model.v1", "org/model.v1"),
        ("https://huggingface.co/datasets/org/data", "org/data"),
        ("https://example.com/org/model", "here"),
        ("the intranet", "here"),
    ],
)
def test_origin_has_the_name_that_it_has_on_the_hub(source: str, name: str) -> None:
    assert hub_name(Origin("data", "here", "MIT", source, "any")) == name


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (("MIT", "mit"), ("mit", None)),
        (("MIT", "Apache-2.0"), ("other", "that-of-its-origins")),
        (("your own", "your own"), ("other", "that-of-its-origins")),
    ],
)
def test_licence_is_named_if_all_origins_share_it(
    licences: tuple[str, str], expected: tuple[str, str | None], project: Path
) -> None:
    judged = read_judged(Path("metrics/verdict.json"), Path("models"), "tuned", is_forced=False)
    origins = [Origin("data", f"d{n}", licence, "", "any") for n, licence in enumerate(licences)]
    origins.append(Origin("synthetic queries", "made", "", "", ""))
    data = card_metadata(judged, origins, ["org/base-model"], ["en"]).to_dict()
    assert (data["license"], data.get("license_name")) == expected
    assert (data["base_model"], data["datasets"]) == ("org/base-model", ["d0", "d1"])


def test_languages_of_few_documents_are_left_out(tmp_path: Path) -> None:
    write_json(tmp_path / "data.json", {"corpus": {"language": {"la": 0.09, "de": 0.1, "en": 0.81}}})
    assert read_languages(tmp_path / "data.json") == ["en", "de"]
    assert read_languages(tmp_path / "absent.json") == []
