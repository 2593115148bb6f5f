"""DVC in a clone without data: `dvc_without_data.py ARGUMENTS`, as for `dvc`.

Where a stage reads a folder, DVC compares every file in it. Of a file that was added by itself (`dvc add
data/slices/x.csv`), a clone without data has only the recorded hash, so this compares that hash.
"""

import sys

from dvc.cli import main
from dvc.dependency.base import Dependency
from dvc.output import Output
from dvc_data.hashfile.hash_info import HashInfo


def hash_with_absent_files(dependency: Dependency) -> HashInfo:
    """Return the hash of an input, with the recorded hashes of the added files inside it that are absent."""
    path, fs = dependency.fs_path, dependency.fs
    added = [out for out in dependency.repo.index.outs if out.stage.is_data_source] if dependency.is_in_repo else []
    absent = [out for out in added if fs.isin(out.fs_path, path) and not out.exists]
    if not absent:
        return Output.get_hash(dependency)
    if any(out.hash_info.isdir for out in absent):
        return dependency.hash_info  # which files such a folder has is not in Git, so nothing can be compared
    *_, tree = dependency._build(
        dependency.local_cache, path, fs, dependency.hash_name, ignore=dependency.dvcignore, dry_run=True
    )
    for out in absent:
        tree.add(fs.relparts(out.fs_path, path), out.meta, out.hash_info)
    tree.digest()
    return tree.hash_info


if __name__ == "__main__":
    Dependency.get_hash = hash_with_absent_files
    sys.exit(main(sys.argv[1:]))
