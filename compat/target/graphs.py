"""Work of fixed shape on a CUDA card, recorded once and replayed: one launch for hundreds."""

from __future__ import annotations

import warnings
from typing import Any, Callable, Hashable, Optional, Sequence

_WARM_UPS = 2
MOST = 48
"""Graphs that are kept; the oldest go."""


def replayer_for(
    device: Any, former: Optional[Replayer] = None, does: str = "decodes"
) -> Optional[Replayer]:
    """Return what records and replays on a device, or None where that is not to be had.

    A `former` one that failed has failed for all cards.
    """
    if device.type != "cuda":
        return None
    if former is not None:
        former.forget()
        return former
    import torch

    return Replayer(torch.cuda, does)


class Replayer:
    """Records what is done under a key the first time, and replays it from then on.

    Where recording fails, everything is done the ordinary way from then on, and that is said once.

    Args:
        cuda: `torch.cuda`, or what stands in for it.
        does: What is said to be slower without.
    """

    def __init__(self, cuda: Any, does: str = "decodes") -> None:
        self._cuda = cuda
        self._does = does
        self._pool: Any = None
        """Memory that all graphs compute in: none leaves anything in it that is read later."""
        self._graphs: dict[Hashable, Any] = {}
        self._met: set[Hashable] = set()
        self._stream: Any = None
        self.fault = ""
        """Why nothing is recorded; empty where it is."""

    def run(self, key: Hashable, act: Callable[[], object], state: Sequence[Any]) -> None:
        """Do `act`, or replay what it did when it was done under this key.

        Args:
            key: Names shapes, addresses and settings of what is done.
            act: Works in place on the current card, waits for nothing, and allocates nothing that
                outlives it.
            state: Tensors that `act` changes in a way that cannot be done twice.
        """
        if self.fault:
            act()
            return
        self.follow_stream()
        graph = self._graphs.get(key)
        if graph is None:
            before = [tensor.clone() for tensor in state]
            try:
                graph = self._recorded(act, state, before)
            except Exception as error:
                self._give_up(f"{type(error).__name__}: {error}")
                for tensor, was in zip(state, before):
                    tensor.copy_(was)
                act()
                return
            while len(self._graphs) >= MOST:
                del self._graphs[next(iter(self._graphs))]
            self._graphs[key] = graph
        graph.replay()

    def has_met(self, key: Hashable) -> bool:
        """Return whether a key was met before, and know it from now on.

        What is met once does not pay for being recorded.
        """
        known = key in self._met
        self._met.add(key)
        return known

    def forget(self) -> None:
        """Drop all that was recorded: weights or buffers are no longer where they were."""
        self._graphs.clear()
        self._met.clear()
        self._pool = None  # torch takes no graph into a pool that has none left

    def _recorded(
        self, act: Callable[[], object], state: Sequence[Any], before: Sequence[Any]
    ) -> Any:
        # torch wants a first run on a stream of its own: libraries set themselves up in it.
        aside = self._cuda.Stream()
        aside.wait_stream(self._cuda.current_stream())
        with self._cuda.stream(aside):
            for _ in range(_WARM_UPS):
                act()
                for tensor, was in zip(state, before):
                    tensor.copy_(was)
        self._cuda.current_stream().wait_stream(aside)
        graph = self._cuda.CUDAGraph()
        if self._pool is None:
            self._pool = self._cuda.graph_pool_handle()
        # Otherwise what another thread does meanwhile on the card fails, here or there.
        mode = "thread_local"
        with self._cuda.graph(graph, pool=self._pool, capture_error_mode=mode):
            act()
        return graph

    def follow_stream(self) -> None:
        """Where the caller has changed to another stream, let that wait for the former one.

        To be called before what a replay reads is written to.
        """
        current = self._cuda.current_stream()
        if self._stream is not None and current != self._stream:
            current.wait_stream(self._stream)
        self._stream = current

    def _give_up(self, fault: str) -> None:
        self.fault = fault
        self.forget()
        warnings.warn(
            f"xcompat {self._does} without CUDA graphs here, which is slower: {fault}", stacklevel=2
        )
