"""The embedding cache: the same bits from it as from the model, whatever happens to its files."""

import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing.spawn import get_executable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retune.core.errors import InputError
from retune.encoding import cache as embedding_cache
from retune.encoding import cache_store
from retune.encoding.cache import Entry, open_cache
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.encoding.fingerprint import ModelFiles, fingerprint
from retune.models.directory import load_model, read_encoding
from tests.support.embedding_caches import ENTRY, TEXTS, Counted, cache_in, load, store, vectors_of
from tests.support.repository import REPOSITORY

some_rows = st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=40)
with_fixtures = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@pytest.fixture(scope="module")
def expected(tiny_model: Path, dtype: torch.dtype) -> np.ndarray:
    compute = Compute(device="cpu", token_budget=1024)
    return Encoder(load_model(tiny_model, "cpu").to(dtype), read_encoding(tiny_model), compute).encode_documents(TEXTS)


@pytest.mark.slow
@with_fixtures
@given(first=some_rows, second=some_rows)
def test_bits_are_the_same_cold_warm_and_in_part(
    first: list[int],
    second: list[int],
    expected: np.ndarray,
    dtype: torch.dtype,
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    encoder = Counted(tmp_path_factory.mktemp("cache"), tiny_model, dtype)
    np.testing.assert_array_equal(encoder.encode(first), expected[first])
    np.testing.assert_array_equal(encoder.encode(second), expected[second])
    texts = dict.fromkeys(TEXTS[row] for row in second)
    assert encoder.encoded == [text for text in texts if text not in {TEXTS[row] for row in first}]
    np.testing.assert_array_equal(encoder.encode(first + second), expected[first + second])
    assert encoder.encoded == []


def test_adding_ten_documents_encodes_ten(tiny_model: Path, tmp_path: Path) -> None:
    Counted(tmp_path, tiny_model, torch.float32).encode(list(range(10, 30)))
    again = Counted(tmp_path, tiny_model, torch.float32)
    again.encode(list(range(30)))
    assert len(again.encoded) == len({TEXTS[row] for row in range(30)} - {TEXTS[row] for row in range(10, 30)}) == 10


def test_loaded_encoder_keeps_vectors_and_one_in_training_does_not(tiny_model: Path, tmp_path: Path) -> None:
    compute = Compute(device="cpu", token_budget=512, cache=cache_in(tmp_path))
    loaded = Encoder.load(tiny_model, compute)
    Encoder.snapshot(loaded.model, loaded.encoding, compute).encode_documents(TEXTS)
    assert not list(tmp_path.iterdir())
    loaded.encode_documents(TEXTS)
    loaded.encode_queries(TEXTS[:9], ["read "] * 9)
    shown = cache_store.manage("show", compute)
    assert [line.split("\t")[:4] for line in shown.splitlines()[1:-1]] == [
        [tiny_model.name, "queries", "32", "9"],
        [tiny_model.name, "documents", "32", str(len(set(TEXTS)))],
    ]


def test_prompt_is_part_of_a_query(tiny_model: Path, tmp_path: Path) -> None:
    encoder = Counted(tmp_path, tiny_model, torch.float32).encoder
    plain, prompted = encoder.encode_queries(["sum", "sum"], [None, "read the "])
    assert not np.array_equal(plain, prompted)
    np.testing.assert_array_equal(encoder.encode_queries(["sum"], ["read the "])[0], prompted)


def test_out_of_memory_keeps_the_smaller_budget_s_vectors_apart(tiny_model: Path, tmp_path: Path) -> None:
    counted = partial(Counted, tmp_path, tiny_model, torch.float32, shapes_of="cuda")
    small = counted(token_budget=2048)
    forward = small.encoder.runner.forward

    def fail(token_ids: list[list[int]], length: int) -> np.ndarray:
        if len(token_ids) * length > 1024:
            raise torch.OutOfMemoryError
        return forward(token_ids, length)

    small.encoder.runner.forward = fail
    rows = list(range(60))
    vectors = small.encode(rows)
    halved = counted(token_budget=1024)
    np.testing.assert_array_equal(halved.encode(rows), vectors)
    assert halved.encoded == []
    whole = counted(token_budget=2048)
    whole.encode(rows)
    assert len(whole.encoded) == len(set(TEXTS))


def test_key_differs_wherever_vectors_may(tiny_model: Path, tmp_path: Path) -> None:
    encoding = read_encoding(tiny_model)
    files = ModelFiles.of(tiny_model)
    state = {"dtype": torch.float32, "device": torch.device("cpu"), "token_budget": 512}
    keys = [fingerprint(files, encoding, role, **state) for role in ("queries", "documents")]
    for change in ({"document_prefix": "a "}, {"document_max_length": 40}, {"pooling": "cls"}):
        keys.append(fingerprint(files, encoding.model_copy(update=change), "documents", **state))
    for change in ({"query_suffix": " a"}, {"query_prefix": "a "}):
        keys.append(fingerprint(files, encoding.model_copy(update=change), "queries", **state))
        assert fingerprint(files, encoding.model_copy(update=change), "documents", **state) == keys[1]
    for change in ({"dtype": torch.bfloat16}, {"token_budget": 1024}):
        keys.append(fingerprint(files, encoding, "documents", **state | change))
    keys.append(fingerprint(ModelFiles("tiny", "00"), encoding, "documents", **state))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        keys.append(fingerprint(files, encoding, "documents", **state))
    finally:
        torch.set_num_threads(threads)
    assert len(set(keys)) == len(keys)


def test_model_is_known_by_its_files_not_by_its_place(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "copy")
    (tmp_path / "copy/README.md").write_text("a card")
    assert ModelFiles.of(tmp_path / "copy").sha256 == ModelFiles.of(tiny_model).sha256
    weights = tmp_path / "copy/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert ModelFiles.of(tmp_path / "copy").sha256 != ModelFiles.of(tiny_model).sha256


def test_file_under_another_model_s_name_gives_nothing(tmp_path: Path) -> None:
    other = Entry(key="cd" * 32, model="other", role="documents", dim=4)
    store(tmp_path, [1]).rename(tmp_path / f"{other.key}.sqlite")
    assert load(tmp_path, [1], other)[1] == [1]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a file of 300 vectors of 64 dimensions."""
    return store(tmp_path_factory.mktemp("sound"), list(range(300)), wide()).read_bytes()


def wide() -> Entry:
    return Entry(key="ef" * 32, model="tiny", role="documents", dim=64)


@pytest.mark.slow
@settings(with_fixtures, max_examples=150)
@given(data=st.data())
def test_flipped_bytes_never_give_a_wrong_vector(
    data: st.DataObject, sound: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, 200) | st.integers(0, len(sound) - 1))
        damaged[position] ^= data.draw(st.integers(1, 255))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / f"{wide().key}.sqlite").write_bytes(damaged)
    numbers = list(range(300))
    found, missing = load(folder, numbers, wide())
    right = vectors_of(numbers, 64)
    right[missing] = 0.0
    np.testing.assert_array_equal(found, right)
    store(folder, missing, wide())
    again, still_missing = load(folder, numbers, wide())
    np.testing.assert_array_equal(
        again[~np.isin(numbers, still_missing)],
        vectors_of([number for number in numbers if number not in still_missing], 64),
    )


def test_file_whose_damage_sqlite_quotes_is_moved_aside(tmp_path: Path) -> None:
    path = store(tmp_path, [1])
    path.write_bytes(path.read_bytes().replace(b"tablevectorsvectors", b"table\xffectorsvectors"))
    with pytest.raises(UnicodeDecodeError), closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT * FROM vectors")
    assert load(tmp_path, [1])[1] == [1]
    assert path.with_suffix(".damaged").is_file()


def test_flipped_byte_of_a_vector_costs_that_vector(tmp_path: Path) -> None:
    path = store(tmp_path, [1, 2, 3])
    content = path.read_bytes()
    assert content.count(vectors_of([2]).tobytes()) == 1
    path.write_bytes(content.replace(vectors_of([2]).tobytes(), vectors_of([7]).tobytes()))
    found, missing = load(tmp_path, [1, 2, 3])
    assert missing == [2]
    np.testing.assert_array_equal(found, [[1, 2, 3, 4], [0, 0, 0, 0], [3, 4, 5, 6]])


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"x" * 9000])
def test_file_that_is_none_of_ours_is_moved_aside(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = store(tmp_path, [1])
    path.write_bytes(content)
    assert load(tmp_path, [1])[1] == [1]
    assert "damaged" in caplog.text
    assert path.with_suffix(".damaged").read_bytes() == content
    store(tmp_path, [1])
    assert load(tmp_path, [1])[1] == []


def test_whether_a_text_was_cut_is_stored_and_checked(tmp_path: Path) -> None:
    texts, is_cut, out = ["a", "b"], np.array([True, False]), np.zeros((2, 4), dtype=np.float32)
    with open_cache(cache_in(tmp_path), ENTRY) as cache:
        cache.write(texts, vectors_of([1, 2]), is_cut)
    found = np.array([False, True])
    with open_cache(cache_in(tmp_path), ENTRY) as cache:
        assert cache.read(texts, [0, 1], out, found) == []
    np.testing.assert_array_equal(found, is_cut)
    with closing(sqlite3.connect(cache.path)) as connection, connection:
        connection.execute("UPDATE vectors SET is_cut = 1 - is_cut")
    with open_cache(cache_in(tmp_path), ENTRY) as cache:
        assert cache.read(texts, [0, 1], out, found) == [0, 1]


def test_other_dimensions_than_the_file_says_are_an_error(tmp_path: Path) -> None:
    store(tmp_path, [1])
    other = Entry(ENTRY.key, "tiny", "documents", dim=8)
    with pytest.raises(InputError, match=r"expected vectors of 8 dimensions, .*'tiny', got 4; run"):
        load(tmp_path, [1], other)


def test_disk_full_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, [1])
    monkeypatch.setattr(embedding_cache, "sqlite3", FullDisk())
    store(tmp_path, list(range(100_000)))
    assert len(caplog.messages) == 1
    assert "full; continuing without the embedding cache" in caplog.text
    monkeypatch.undo()
    assert load(tmp_path, [1, 2])[1] == [2]


class FullDisk:
    """Takes the place of module sqlite3: no file may grow beyond forty pages."""

    def __getattr__(self, name: str) -> object:
        return getattr(sqlite3, name)

    @staticmethod
    def connect(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = sqlite3.connect(*arguments, **options)
        connection.execute("PRAGMA max_page_count = 40")
        return connection


def test_folder_that_cannot_be_is_a_warning(tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    encoder = Counted(tmp_path / "file" / "cache", tiny_model, torch.float32)
    assert encoder.encode([0, 1]).shape == (2, 32)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "continuing without the embedding cache" in caplog.text


WRITER = """
import sys
from tests.support.embedding_caches import store
for start in range(0, 10**6, 10):
    store(Path(sys.argv[1]), list(range(start, start + 10)))
    print(start + 10, flush=True)
"""


@contextmanager
def python(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run code in a process of its own that can import the tests."""
    paths = os.pathsep.join(str(REPOSITORY / name) for name in ("src", "."))
    environment = os.environ | {"PYTHONPATH": paths}
    code = "from pathlib import Path\n" + code
    process = subprocess.Popen(
        [get_executable(), "-c", code, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_killed_writer_loses_nothing_stored(tmp_path: Path, forks: None) -> None:
    with python(WRITER, str(tmp_path)) as process:
        while int(process.stdout.readline()) < 200:
            pass
        process.send_signal(signal.SIGKILL)
        printed = process.stdout.read().split()
    stored = int(printed[-1]) if printed else 200
    found, missing = load(tmp_path, list(range(stored)))
    assert missing == []
    np.testing.assert_array_equal(found, vectors_of(list(range(stored))))
    store(tmp_path, [stored + 100])
    assert load(tmp_path, [0, stored + 100])[1] == []


ENCODER = """
import sys
import numpy as np, torch
from tests.support.embedding_caches import Counted
first, last = int(sys.argv[4]), int(sys.argv[5])
encoder = Counted(Path(sys.argv[1]), Path(sys.argv[2]), torch.float32)
input_rows = [[row] for row in range(first, last)]  # a call each, so that both write all the time
np.save(sys.argv[3], np.concatenate([encoder.encode(rows) for rows in input_rows]))
"""


@pytest.mark.slow
def test_two_processes_may_write_at_once(tiny_model: Path, tmp_path: Path, forks: None) -> None:
    folder = tmp_path / "cache"
    shares = [(0, 45), (15, 60)]
    names = [str(tmp_path / f"{first}.npy") for first, _ in shares]
    arguments = [
        (str(folder), str(tiny_model), name, str(first), str(last))
        for name, (first, last) in zip(names, shares, strict=True)
    ]
    with python(ENCODER, *arguments[0]) as one, python(ENCODER, *arguments[1]) as other:
        assert one.wait() == other.wait() == 0
    compute = Compute(device="cpu", token_budget=1024)
    expected = Encoder.load(tiny_model, compute).encode_documents(TEXTS)
    for name, (first, last) in zip(names, shares, strict=True):
        np.testing.assert_array_equal(np.load(name), expected[first:last])
    (stored,) = folder.glob("*.sqlite")
    assert list(folder.iterdir()) == [stored]  # nothing half-made
    with closing(sqlite3.connect(stored)) as connection:
        assert connection.execute("SELECT count(*) FROM vectors").fetchone() == (len(set(TEXTS)),)


def entry(number: int) -> Entry:
    return Entry(key=f"{number:064x}", model=f"model{number}", role="documents", dim=64)


def test_least_recently_used_model_goes_first(tmp_path: Path) -> None:
    paths = [store(tmp_path, list(range(1000)), entry(number)) for number in range(3)]
    for age, path in enumerate(paths):
        os.utime(path, (time.time() - 100 + age,) * 2)
    load(tmp_path, [1], entry(0))  # now 1 is the oldest
    limit = sum(path.stat().st_size for path in paths) * 1.2 / 10**9
    paths.append(store(tmp_path, list(range(1000)), entry(3), max_gb=limit))
    assert [path.exists() for path in paths] == [True, False, True, True]
    store(tmp_path, list(range(1000, 1100)), entry(3), max_gb=1e-9)
    assert [path.exists() for path in paths] == [False, False, False, True]  # the one in use stays


def test_file_that_another_holds_open_is_not_deleted(tmp_path: Path) -> None:
    path = store(tmp_path, [1])
    with open_cache(cache_in(tmp_path), ENTRY):
        assert cache_store.shrink(tmp_path, 0.0) == 0
    assert load(tmp_path, [1])[1] == []
    assert cache_store.shrink(tmp_path, 0.0) == 1
    assert not path.exists()


def test_commands_show_prune_and_empty(tmp_path: Path) -> None:
    compute = Compute(device="cpu", token_budget=512, cache=cache_in(tmp_path, max_gb=2.5e-4))
    for number in (1, 2):
        store(tmp_path, list(range(300)), entry(number))
    (tmp_path / "x.damaged").write_bytes(b"none of ours")
    os.utime(tmp_path / f"{entry(1).key}.sqlite", (0, 0))
    shown = cache_store.manage("show", compute).splitlines()
    assert [line.split("\t")[0] for line in shown[1:-1]] == ["unreadable", "model2", "model1"]
    assert shown[-1].endswith(" of 0.00025 GB")
    assert cache_store.manage("prune", compute).endswith("1 files deleted, 2 left")
    assert cache_store.manage("empty", compute).endswith("2 files deleted, 0 left")
    with pytest.raises(InputError, match="expected show, prune or empty, got 'clear'"):
        cache_store.manage("clear", compute)
    with pytest.raises(InputError, match="RETUNE_CACHE: expected a folder, got nothing"):
        cache_store.manage("show", compute.model_copy(update={"cache": None}))
