"""Python without the seconds that imports take: a process that has imported the libraries forks for each command.

`start` starts that process and gives a folder with programs `python` and `dvc`, to be put on PATH before the real ones.
There, `python -m stages.x`, `dvc`, the processes that multiprocessing spawns and code that imports from `tests` run in
a fork, with the folder, environment and files of their caller; whatever else Python is asked for runs in a real
interpreter. The server imports libraries alone, so each copy of the repository runs its own code. It computes nothing,
so a fork starts its threads as a new process does. Variables that libraries read when they are imported are those of
the server.
"""

import atexit
import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VARIABLE = "FORK_SERVER"  # names the folder; empty: `python` there is a real interpreter
MAX_FILES = 256
LIBRARIES = (
    *("numpy", "pandas", "pyarrow.parquet", "pydantic.json_schema", "ruamel.yaml", "jinja2", "scipy.sparse.csgraph"),
    *("torch", "torch.distributed.launcher.api", "transformers", "sentence_transformers", "datasets", "peft"),
    *("accelerate", "safetensors.torch", "faiss", "bm25s", "datasketch", "vl_convert", "pytest"),
    *("dvc.api", "dvc.cli.parser", "dvc.cachemgr", "dvc.data_cloud", "dvc.repo.index", "dvc.repo.plots", "pygit2"),
)
PYTHON = """#!{python} -IS
import os, sys
arguments, folder = {first} + sys.argv[1:], os.environ.get("{variable}")
arguments = arguments[arguments[:1] == ["-B"]:]  # multiprocessing repeats it; PYTHONDONTWRITEBYTECODE says the same
kind, what = (*arguments, "", "")[:2]
is_module = kind == "-m" and (what == "dvc" or what.startswith("stages."))
is_ours = is_module or kind == "-c" and ("multiprocessing.spawn" in what or "from tests." in what)
if not folder or not is_ours:
    os.execv(sys.executable, [sys.executable, *arguments])
import json, socket
files = [file for file in map(int, os.listdir("/proc/self/fd")) if os.path.lexists(f"/proc/self/fd/{{file}}")]
with socket.socket(socket.AF_UNIX) as server:
    server.connect(folder + "/socket")
    socket.send_fds(server, [b" "], files)
    request = dict(arguments=arguments, folder=os.getcwd(), environment=dict(os.environ), numbers=files)
    server.sendall(json.dumps(request).encode() + b"\\n")
    status = int(server.recv(8) or 1)
if status < 0:
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@contextmanager
def start() -> Iterator[Path]:
    """Yield the folder; the server and its forks end with the block, or with this process."""
    with tempfile.TemporaryDirectory(prefix="fork-") as name, socket.socket(socket.AF_UNIX) as listener:
        folder = Path(name)
        for program, first in {"python": [], "dvc": ["-m", "dvc"]}.items():
            (folder / program).write_text(PYTHON.format(python=sys.executable, first=first, variable=VARIABLE))
            (folder / program).chmod(0o755)
        listener.bind(str(folder / "socket"))
        listener.listen()
        command = [sys.executable, __file__, str(listener.fileno())]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()], start_new_session=True
        ) as server:
            listener.close()
            yield folder
            server.communicate()  # closes its input, at which it ends


def serve(listener: socket.socket) -> dict[str, Any]:
    """Start two processes for each caller until the input ends: one returns what to run, the other waits for it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        if sys.stdin in select.select([listener, sys.stdin], [], [])[0]:
            os._exit(0)
        with listener.accept()[0] as caller:
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                files = socket.recv_fds(caller, 1, MAX_FILES)[1]
                request = caller.makefile().readline() or os._exit(0)  # killed before it had asked
                if (process := os.fork()) == 0:
                    return json.loads(request) | {"files": files}
                for file in files:
                    os.close(file)
                _wait(process, caller)


def _wait(process: int, caller: socket.socket) -> None:
    """Report how a process ends; kill it once its caller, or that of the server, has ended."""
    handle = os.pidfd_open(process)
    if handle not in select.select([handle, caller, sys.stdin], [], [])[0]:
        os.kill(process, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    caller.send(str(status).encode())
    os._exit(0)


def run(
    *, arguments: list[str], folder: str, environment: dict[str, str], numbers: list[int], files: list[int]
) -> None:
    """Run a module or code as `python` does, and end without taking down what was imported: that takes a while."""
    files = [fcntl.fcntl(file, fcntl.F_DUPFD, MAX_FILES) for file in files]  # out of the way
    os.closerange(3, MAX_FILES)
    for file, number in zip(files, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    kind, what, *rest = arguments
    sys.path[:1] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [kind, *rest]
    status: object = None
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(what, {"__name__": "__main__"})
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
    threading._shutdown()  # waits for threads, as an interpreter does at its end
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.collect()
    gc.freeze()  # else each fork's collector writes to the memory of all that was imported, and so copies it
    run(**serve(socket.socket(fileno=int(sys.argv[1]))))
