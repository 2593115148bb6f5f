"""Write the folder of a tuned model for the Hub, and upload it; a command, not a stage of dvc.yaml.

python -m stages.publish MODEL [--repo ORGANISATION/NAME] [--base ORGANISATION/NAME] [--precision SHARE] [--force 1]
"""

from pathlib import Path

from retune.core.cli import run
from retune.encoding.compute import Compute
from retune.publishing.artifacts import register
from retune.publishing.publish import Folders, Options, publish
from retune.publishing.upload import upload

FOLDERS = Folders(Path("models"), Path("data/datasets"), Path("metrics"), Path("published"))


def main(model: str, *, repo: str = "", base: str = "", precision: str = "0.9", force: str = "") -> None:
    out = publish(Options(model, precision, force, repo, base), FOLDERS, Compute.read("compute"))
    register(Path("dvc.yaml"), FOLDERS.models / model)
    print(upload(out, repo))


if __name__ == "__main__":
    run(main)
