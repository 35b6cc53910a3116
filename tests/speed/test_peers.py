"""The peers beside ours."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dispr_cli.speed import peers


def test_every_peer_makes_volumes_of_our_grid() -> None:
    import importlib

    for peer in peers.PEERS:
        run = peer.prepare(importlib.import_module(peer.module), torch.device("cpu"))
        if peer.repeats > 1:  # the slow ones are tried where their networks are
            with torch.inference_mode():
                volume = run()
            assert isinstance(volume, torch.Tensor)
            assert volume.shape[-3:] == (64, 64, 64)


def test_the_ratio_counts_calls_and_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(runs: Any, *_: Any, **__: Any) -> list[list[float]]:
        return [[2.0, 2.0, 9.0]]

    slow = peers._Peer("slow", "one step", "math", lambda module, device: lambda: None, 1000, True, 1)
    single = slow._replace(name="single", calls_per_sample=1, samples=False)
    monkeypatch.setattr(peers, "PEERS", (slow, single))
    monkeypatch.setattr(peers, "in_turns", seconds)
    first, second = peers.time_peers(torch.device("cpu"), seconds_per_cell=0.5, num_samples=5)
    assert (first.calls_per_cell, first.ratio) == (5000, 20_000.0)
    assert (second.calls_per_cell, second.ratio) == (1, 4.0)
