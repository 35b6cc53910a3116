"""Reaching a Dask cluster, or starting a small one here."""

from __future__ import annotations

import contextlib
import logging
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dispr_cli.errors import ConfigError, DisprError

if TYPE_CHECKING:
    from distributed import Client

WAIT_SECONDS = 300.0
"""How long a scheduler or its first worker is waited for."""

LOST = (CancelledError, OSError, TimeoutError)
"""What a client raises when the scheduler goes away (distributed's CommClosedError is an OSError)."""

_SAY_EVERY = 30.0
_ASK_EVERY = 5.0


@contextlib.contextmanager
def connected(address: str, notify: Callable[[str], None]) -> Iterator[Callable[[], Client]]:
    """Yield a function that returns a client with at least one worker, connecting again where it must.

    Parameters
    ----------
    address
        Of a scheduler, its file, or ``local:N``.
    notify
        Called with a sentence while something is waited for.

    Raises
    ------
    ConfigError
        If dask.distributed is not installed, or the address makes no sense.
    DisprError
        If no scheduler answers, or it has no workers.
    """
    distributed = _distributed()
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with contextlib.ExitStack() as opened:
        target = _local(address, distributed, opened) or _checked(address)
        clients: list[Client] = []

        def connect() -> Client:
            if not clients or clients[-1].status != "running":
                clients.append(opened.enter_context(_closing(_reach(target, address, distributed, notify))))
            _wait_for_workers(clients[-1], address, notify)
            return clients[-1]

        yield connect


class Room:
    """How much a cluster can take, asked again every few seconds, since workers come and go."""

    def __init__(self, client: Client) -> None:
        self._client, self._asked = client, -math.inf
        self._workers = self._on_a_machine = 1

    def workers(self) -> int:
        """Shards that can be worked on at once: one for every worker."""
        self._ask()
        return self._workers

    def on_a_machine(self) -> int:
        """Workers on the machine that has most of them."""
        self._ask()
        return self._on_a_machine

    def _ask(self) -> None:
        if time.monotonic() - self._asked < _ASK_EVERY:
            return
        hosts = Counter(worker["host"] for worker in _workers(self._client).values())
        self._workers = max(1, hosts.total())
        self._on_a_machine = max(hosts.values(), default=1)
        self._asked = time.monotonic()


def _workers(client: Client) -> dict[str, Any]:
    # Versions differ in how many workers they describe unless they are told.
    return client.scheduler_info(n_workers=-1)["workers"]


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise ConfigError(
            "--dask needs dask.distributed, which is not installed: pip install 'dispr[cluster]'"
        ) from error
    return distributed


def _local(address: str, distributed: Any, opened: contextlib.ExitStack) -> Any:
    """Start as many single-threaded processes as ``local:N`` asks for; None for other addresses."""
    if not address.startswith("local"):
        return None
    found = re.fullmatch(r"local:([1-9][0-9]{0,3})", address)
    if found is None:
        raise ConfigError(f"--dask is {address!r}: expected local:N with N from 1, such as local:4")
    import dask

    # A worker that is frozen sends no sign of life; its shards go to others after this time.
    opened.enter_context(dask.config.set({"distributed.scheduler.worker-ttl": "60s"}))
    return opened.enter_context(
        distributed.LocalCluster(
            n_workers=int(found[1]),
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
    )


def _checked(address: str) -> dict[str, Any]:
    if Path(address).is_file():
        return {"scheduler_file": address}
    if re.fullmatch(r"((tcp|tls|ucx|ws|wss)://)?[\w.\-\[\]:]+:[0-9]{1,5}", address) is None:
        raise ConfigError(
            f"--dask is {address!r}: expected local:N, the address of a scheduler such as tcp://host:8786, "
            "or its file"
        )
    return {"address": address}


def _reach(target: Any, address: str, distributed: Any, notify: Callable[[str], None]) -> Client:
    until = time.monotonic() + WAIT_SECONDS
    arguments = target if isinstance(target, dict) else {"address": target}
    while True:
        try:
            patience = min(10.0, max(1.0, until - time.monotonic()))
            client: Client = distributed.Client(**arguments, set_as_default=False, timeout=patience)
        except (OSError, TimeoutError, ValueError) as error:
            if time.monotonic() > until:
                raise DisprError(f"--dask {address}: no scheduler answers there ({error})") from error
            notify(f"waiting for the scheduler at {address}")
            time.sleep(2.0)
        else:
            return client


def _wait_for_workers(client: Client, address: str, notify: Callable[[str], None]) -> None:
    until, said = time.monotonic() + WAIT_SECONDS, time.monotonic()
    while not _workers(client):
        if time.monotonic() > until:
            raise DisprError(f"--dask {address}: the scheduler has no workers; start some, then go on")
        if time.monotonic() - said > _SAY_EVERY:
            said = time.monotonic()
            notify(f"waiting for workers at {address}")
        time.sleep(0.2)


@contextlib.contextmanager
def _closing(client: Client) -> Iterator[Client]:
    try:
        yield client
    finally:
        with contextlib.suppress(*LOST):
            client.close(timeout=5)
