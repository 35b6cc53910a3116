"""Nothing that the program does on one machine looks for another: every command, with sockets forbidden."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

WATCHED = """
import json, socket, sys

asked = []

def watch(event, arguments):
    # A pair of connected sockets inside the process (Python's event loops have one) has a family of its own.
    if event == "socket.__new__" and arguments[1] not in (socket.AF_INET, socket.AF_INET6):
        return
    if event in ("socket.bind", "socket.connect") and isinstance(arguments[1], (str, bytes)):
        return
    if event.startswith(("socket.__new__", "socket.bind", "socket.connect", "socket.get", "socket.send")) or (
        event.split(".")[0] in ("urllib", "http", "ftplib", "smtplib", "webbrowser")
    ):
        asked.append(event)
        raise RuntimeError(f"network: {event} {arguments}")

sys.addaudithook(watch)
from dispr_cli.__main__ import main

results = []
for command in json.loads(sys.argv[1]):
    sys.argv = ["dispr", *command]
    try:
        main()
        code = 0
    except SystemExit as left:
        code = left.code or 0
    results.append([command[0], code])
print("\\n" + json.dumps({"results": results, "asked": asked}))
"""


def watched(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)


def test_no_command_opens_a_socket(tiny_weights: Path, tmp_path: Path) -> None:
    cells, store, fitted = tmp_path / "cells", tmp_path / "out.zarr", tmp_path / "fitted.zarr"
    settings, mine = tmp_path / "settings.toml", tmp_path / "mine.safetensors"
    settings.write_text("batch_size = 2\nwarmup = 1\nvalidation_fraction = 0.5\n")
    one_cell = ["--cell", "0", "--out", tmp_path / "exports"]
    commands: list[list[object]] = [
        ["doctor"],
        ["phantom", cells, "--cells", 3, "--classes", "discocyte"],
        ["reconstruct", cells, store, "--samples", 1, "--steps", 1, "--weights", tiny_weights],
        ["reconstruct", cells, fitted, "--samples", 1, "--method", "inflate"],
        ["status", store],
        ["verify", store],
        ["merge-tables", store],
        ["export", fitted, *one_cell],
        ["export", fitted, *one_cell, "--format", "stl"],
        ["evaluate", fitted, "--truth", cells, "--out", tmp_path / "evaluation"],
        ["features", "--list"],
        ["slurm", cells, store, "--parts", 2],
        ["train", cells, "--out", mine, "--config", settings, "--examples", 2],
    ]
    done = watched(WATCHED, json.dumps([[str(word) for word in command] for command in commands]))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["asked"] == []
    assert found["results"] == [[command[0], 0] for command in commands], done.stderr


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('127.0.0.1', 9))",
    ],
)
def test_an_attempt_would_be_told(attempt: str) -> None:
    script = WATCHED.split("from dispr_cli.__main__")[0] + attempt
    done = watched(script)
    assert done.returncode == 1
    assert "network: " in done.stderr
