"""The command line without a new process: what takes seconds there takes a blink here."""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import sys
from unittest import mock

from dispr_cli import __main__


def dispr_here(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``dispr`` in this process; the same result as of a process of its own."""
    command = ["dispr", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    before = signal.getsignal(signal.SIGTERM)
    code = 0
    try:
        with (
            mock.patch.object(sys, "argv", command),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            __main__.main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
    finally:
        signal.signal(signal.SIGTERM, before)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
