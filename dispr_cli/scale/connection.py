"""Reaching a Dask cluster, or starting a small one here, and keeping it in view."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dispr_cli.errors import ConfigError, DisprError

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

WAIT_SECONDS = 300.0
"""How long workers are waited for, and a scheduler that was there before."""

FIRST_WAIT_SECONDS = 60.0
"""How long a scheduler is waited for that never answered: its address may be wrong."""

LOST = (CancelledError, OSError, TimeoutError)
"""What a client raises when the scheduler goes away (distributed's CommClosedError is an OSError)."""

_ASK_EVERY = 2.0
_SAY_AFTER = 3.0
# A local worker that died while it started is given up after this time, then replaced.
_LOCAL_SETTINGS = {"distributed.scheduler.worker-ttl": "60s", "distributed.deploy.lost-worker-timeout": "5s"}


@contextlib.contextmanager
def connected(address: str, notify: Callable[[str], None]) -> Iterator[Connection]:
    """Connect to a cluster for as long as the block lasts.

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
    """
    distributed = _distributed()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as opened:
        number = _number_of_local(address)
        local = _start_local(number, distributed, opened) if number else None
        target = {"address": local} if local is not None else _checked(address)
        yield Connection(target, local, number, address, notify, opened)


class Connection:
    """A cluster: its client, connected again where it must be, and how much it can take.

    Parameters
    ----------
    target
        Arguments of :class:`distributed.Client`.
    local, number
        The cluster that was started here, and its number of workers.
    address
        As the user gave it, for messages.
    notify
        Called with a sentence while something is waited for.
    opened
        Closes the clients in the end.
    """

    def __init__(
        self,
        target: dict[str, Any],
        local: LocalCluster | None,
        number: int,
        address: str,
        notify: Callable[[str], None],
        opened: contextlib.ExitStack,
    ) -> None:
        self._target, self._local, self._number = target, local, number
        self._address, self._notify, self._opened = address, notify, opened
        self._client: Client | None = None
        self._hosts: Counter[str] = Counter()
        self._asked = self._seen = time.monotonic()
        self._said = ""

    @property
    def client(self) -> Client:
        """A client that is connected, to a scheduler that has a worker; both are waited for.

        Raises
        ------
        DisprError
            If no scheduler answers, or it gets no workers.
        """
        if self._client is None or self._client.status != "running":
            self._client = self._opened.enter_context(_closing(self._reached()))
            self._seen = time.monotonic()
        self._ask()
        while not self._hosts:
            time.sleep(0.2)
            self._ask()
        return self._client

    @property
    def workers(self) -> int:
        """Shards that can be worked on at once: one for every worker."""
        return max(1, self._hosts.total())

    @property
    def workers_per_machine(self) -> int:
        """Workers on the machine that has most of them."""
        return max(self._hosts.values(), default=1)

    def tend(self) -> None:
        """See to it, every few seconds, that there still are a scheduler and workers.

        Raises
        ------
        OSError
            If the scheduler is lost.
        DisprError
            If there were no workers for a long time.
        """
        if self._client is None or self._client.status != "running":
            raise OSError("the scheduler is lost")
        if time.monotonic() - self._asked > _ASK_EVERY:
            self._ask()

    def _ask(self) -> None:
        assert self._client is not None
        # Versions differ in how many workers they describe unless they are told.
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        self._hosts = Counter(worker["host"] for worker in workers)
        self._asked = time.monotonic()
        if self._local is not None and self._hosts.total() < self._number:
            self._local.scale(self._number)
        if self._hosts:
            self._seen, self._said = self._asked, ""
        elif self._asked - self._seen > WAIT_SECONDS:
            raise DisprError(f"--dask {self._address}: the scheduler has no workers; start some, then go on")
        else:
            self._say("workers", self._seen, f"up to {WAIT_SECONDS:.0f} s")

    def _reached(self) -> Client:
        from distributed import Client

        begun = time.monotonic()
        wait = WAIT_SECONDS if self._client is not None else min(FIRST_WAIT_SECONDS, WAIT_SECONDS)
        while True:
            patience = min(10.0, max(1.0, begun + wait - time.monotonic()))
            try:
                # A client that is interrupted while nobody answers would wait on, and complain in the end.
                _knock(self._target, patience)
                return Client(**self._target, set_as_default=False, timeout=patience)
            except (OSError, TimeoutError, ValueError) as error:
                if time.monotonic() - begun >= wait:
                    raise DisprError(
                        f"--dask {self._address}: no scheduler answers there ({error}); check the address, "
                        "and that a scheduler runs (dask scheduler) and can be reached from this machine"
                    ) from error
                self._say("the scheduler", begun, f"up to {wait:.0f} s, {error}")
            time.sleep(1.0)

    def _say(self, what: str, since: float, more: str) -> None:
        """Say once what is waited for, as soon as it is more than a moment."""
        if self._said != what and time.monotonic() - since > _SAY_AFTER:
            self._said = what
            self._notify(f"waiting for {what} at {self._address} ({more})")


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise ConfigError(
            "--dask needs dask.distributed: install dispr with it, pip install '.[cluster]' in its folder"
        ) from error
    return distributed


def _number_of_local(address: str) -> int:
    """Return N of ``local:N``, 0 for other addresses."""
    if not address.startswith("local"):
        return 0
    found = re.fullmatch(r"local:([1-9][0-9]{0,3})", address)
    if found is None:
        raise ConfigError(f"--dask is {address!r}: expected local:N with N from 1, such as local:4")
    return int(found[1])


def _start_local(number: int, distributed: Any, opened: contextlib.ExitStack) -> Any:
    import dask

    opened.enter_context(dask.config.set(_LOCAL_SETTINGS))
    return opened.enter_context(
        distributed.LocalCluster(
            n_workers=number,
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


def _knock(target: dict[str, Any], patience: float) -> None:
    """See whether anybody listens where a scheduler should.

    Raises
    ------
    OSError, ValueError
        If nobody does, or a scheduler's file does not say where.
    """
    address = target.get("address")
    if address is None:
        address = json.loads(Path(target["scheduler_file"]).read_bytes()).get("address", "")
    if not isinstance(address, str):
        return  # A cluster of this process.
    found = re.fullmatch(r"(?:(?:tcp|tls|ws|wss)://)?\[?([\w.\-:]+?)\]?:([0-9]{1,5})", address)
    if found is not None:
        with socket.create_connection((found[1], int(found[2])), patience):
            pass


@contextlib.contextmanager
def _closing(client: Client) -> Iterator[Client]:
    try:
        yield client
    finally:
        with contextlib.suppress(*LOST):
            client.close(timeout=5)
