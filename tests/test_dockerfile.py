"""The image installs and runs what is here: checked by reading, because no builder is at hand."""

import re
from fnmatch import fnmatch

from tests.support.repository import REPOSITORY

LINES = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").splitlines()
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
IGNORED = [line.removeprefix("**/") for line in (REPOSITORY / ".dockerignore").read_text().split("\n")[1:] if line]


def instructions(name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in LINES if line.startswith(f"{name} ")]


def test_image_runs_a_target_of_the_makefile() -> None:
    assert instructions("CMD") == ['["make", "repro"]']
    assert re.search(r"^repro: ", MAKEFILE, flags=re.MULTILINE)


def test_each_accelerator_has_a_stage_that_installs_its_lock() -> None:
    stages = dict(re.findall(r"^FROM base AS (\w+)\nENV REQUIREMENTS=(\S+)", "\n".join(LINES), flags=re.MULTILINE))
    assert stages == {"cpu": "requirements.txt", "cuda": "requirements-gpu.txt"}
    assert instructions("ARG") == ["ACCELERATOR=cpu"]
    assert instructions("FROM")[-1] == "${ACCELERATOR}"
    assert 'make ".venv/installed-${REQUIREMENTS}"' in instructions("RUN")  # the target $(INSTALLED) of the Makefile
    assert "INSTALLED := $(VENV)/installed-$(REQUIREMENTS)" in MAKEFILE
    assert "REQUIREMENTS ?= " in MAKEFILE  # so that the environment chooses it
    for lock in stages.values():
        assert (REPOSITORY / lock).is_file()


def test_copied_files_exist_and_are_not_ignored() -> None:
    first, rest = instructions("COPY")
    assert rest == ". ."
    for name in [*first.split()[:-1], ".git", ".dvc/config", "params.yaml", "dvc.lock", "data/raw", "metrics"]:
        assert (REPOSITORY / name).exists(), name
        assert not any(fnmatch(name, pattern) for pattern in IGNORED), name


def test_outputs_and_secrets_stay_out_of_the_image() -> None:
    for line in (REPOSITORY / ".gitignore").read_text().split():
        assert line.strip("/") in IGNORED, line
    assert {".dvc/cache", ".dvc/tmp", ".dvc/config.local"} <= set(IGNORED)
