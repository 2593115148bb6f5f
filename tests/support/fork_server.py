"""Stages without the seconds that imports take: a process that has imported the libraries forks for each stage.

`start` starts that process and gives a folder with a program `python`, to be put on PATH before the real one. There,
`python -m stages.x` runs in a fork, with the folder, environment and files of its caller; whatever else Python is asked
for runs in a real interpreter. The server imports libraries alone, so each copy of the repository runs its own code. It
computes nothing, so a fork starts its threads as a new process does. What libraries read from the environment when they
are imported, they read from the server's.
"""

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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VARIABLE = "FORK_SERVER"  # names the folder; empty: `python` there is a real interpreter
LIBRARIES = (
    *("numpy", "pandas", "pyarrow.parquet", "pydantic.json_schema", "ruamel.yaml", "jinja2", "scipy.sparse.csgraph"),
    *("torch", "torch.distributed.launcher.api", "transformers", "sentence_transformers", "datasets", "peft"),
    *("accelerate", "safetensors.torch", "faiss", "bm25s", "datasketch", "dvc.api", "vl_convert"),
)
PYTHON = """#!{python} -IS
import os, sys
arguments, folder = sys.argv[1:], os.environ.get("{variable}")
if not folder or arguments[:1] != ["-m"] or not "".join(arguments[1:2]).startswith("stages."):
    os.execv(sys.executable, [sys.executable, *arguments])
import json, socket
with socket.socket(socket.AF_UNIX) as server:
    server.connect(folder + "/socket")
    socket.send_fds(server, [b" "], [0, 1, 2])
    request = {{"arguments": arguments[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
    server.sendall(json.dumps(request).encode() + b"\\n")
    sys.exit(int(server.recv(8) or 1))
"""


@contextmanager
def start() -> Iterator[Path]:
    """Yield the folder; the server and its forks end with the block, or with this process."""
    with tempfile.TemporaryDirectory(prefix="fork-") as name, socket.socket(socket.AF_UNIX) as listener:
        folder = Path(name)
        (folder / "python").write_text(PYTHON.format(python=sys.executable, variable=VARIABLE))
        (folder / "python").chmod(0o755)
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
                listener.close()
                files = socket.recv_fds(caller, 1, 3)[1]
                request = json.loads(caller.makefile().readline())
                if (stage := os.fork()) == 0:
                    return request | {"files": files}
                _wait(stage, caller)


def _wait(stage: int, caller: socket.socket) -> None:
    """Report how a process ends; kill it once its caller or the server's has ended."""
    process = os.pidfd_open(stage)
    if process not in select.select([process, caller, sys.stdin], [], [])[0]:
        os.kill(stage, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(stage, 0)[1])
    caller.send(str(status if status >= 0 else 128 - status).encode())
    os._exit(0)


def run(*, arguments: list[str], folder: str, environment: dict[str, str], files: list[int]) -> None:
    """Run a module as `python -m` does."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    sys.argv = arguments
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.collect()
    gc.freeze()  # else each fork, at its end, writes to the memory of all that was imported, and so copies it
    run(**serve(socket.socket(fileno=int(sys.argv[1]))))
