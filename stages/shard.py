"""Do shard i of n of some work on any machine, or put all shards together; a command, not a stage of dvc.yaml.

python -m stages.shard encode.MODEL.DATASET|search.MODEL.DATASET|mine.RECIPE FOLDER --shard I/N [--dtype FORMAT]
python -m stages.shard merge FOLDER
"""

from pathlib import Path

from retune.core.cli import run


def main(work: str, folder: str, *, shard: str = "", dtype: str = "auto") -> None:
    from retune.sharding.command import Folders, do  # loads the libraries of models

    data, metrics = Path("data"), Path("metrics/mined")
    made = data / "datasets", data / "mined", metrics, Path("prompts"), data / "runs", data / "excluded"
    folders = Folders(Path("models"), *made)
    print(do(work, Path(folder), shard, folders, dtype=dtype))


if __name__ == "__main__":
    run(main)
