"""Memory that activations need, found by watching a network run."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# What cannot write over its input, whatever engine runs it. Everything else goes value by value.
MOVES = ("convolution", "pool", "mm", "matmul", "cat", "mean", "pad", "index", "_to_copy", "sum")


@dataclass
class _Block:
    bytes: int
    first: int  # number of the operation that writes it
    last: int  # of the last one that reads it


class ActivationMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watch which operations write and read each block of memory.

        with torch.no_grad(), ActivationMemory(x) as memory:
            network(x)
        memory.peak_bytes()

    Args:
        x: the input, best on the meta device, where nothing is computed.
    """

    def __init__(self, x: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entry = x.untyped_storage()
        self.operations: list[tuple[str, list[int], list[int]]] = []
        self.sizes: dict[int, int] = {}
        self.kept: list[Any] = []  # so that no address is given twice

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here; PyTorch would import its compiler, for seconds, to say so."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.operations.append((func.__name__, self._blocks((args, kwargs)), self._blocks(out)))
        return out

    def _blocks(self, tree: Any) -> list[int]:
        found = []
        for x in tree_leaves(tree):
            # The indices of a max-pool are for its gradient alone.
            if isinstance(x, torch.Tensor) and x.is_floating_point() and x.numel():
                storage = x.untyped_storage()
                self.kept.append(storage)
                self.sizes[storage._cdata] = storage.nbytes()
                found.append(storage._cdata)
        return found

    def peak_bytes(self) -> int:
        """The most that activations take at one time, in an engine that frees what it can.

        A block lives from the operation that writes it to the last one that reads it. What goes
        value by value, such as batch norm and ReLU, writes over its input if nobody else reads it.
        """
        change = [0] * (len(self.operations) + 1)
        for block in {id(b): b for b in self._lifetimes().values()}.values():
            change[block.first] += block.bytes
            change[block.last + 1] -= block.bytes
        return max(accumulate(change))

    def _lifetimes(self) -> dict[int, _Block]:
        last_read = {
            block: step
            for step, (_, read, wrote) in enumerate(self.operations)
            for block in (*read, *wrote)
        }
        start = self.entry._cdata
        blocks = {start: _Block(self.entry.nbytes(), 0, last_read.get(start, 0))}
        for step, (name, read, wrote) in enumerate(self.operations):
            activations = [b for b in read if b in blocks]
            for new in wrote:
                if new in blocks or not activations:  # in place already, or made of weights alone
                    continue
                size, last = self.sizes[new], last_read[new]
                over = [
                    b for b in activations if blocks[b].last == step and blocks[b].bytes == size
                ]
                if over and not any(move in name for move in MOVES):
                    blocks[new] = blocks[over[0]]
                    blocks[new].last = last
                else:
                    blocks[new] = _Block(size, step, last)
        return blocks
