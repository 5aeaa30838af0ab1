"""What every wire offers the engine: fill the rows of a batch, send rows, aim doors.

A door is one bound UDP port of a stream: 2 x row for RTP, 2 x row + 1 for RTCP.
"""

import socket
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# A cell holds what an MTU of 1500 lets through. No power of two: headers 2048 bytes apart share a
# few sets of the cache, and to write them takes seven times as long.
CELL_BYTES = 1600
BATCH_ROWS = 2048  # what 1,200 calls bring in 15 ms
CELLS = 32768
SCRATCH_CELLS = 256
LOOKS = 4  # packets of one door in one batch, at most

Remote = tuple[str, int]


class Addresses:
    """Numbers for the addresses that doors may be latched to, so that numpy can compare them.

    Only addresses that signalling named have one: a flood from everywhere adds nothing.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._texts: dict[int, str] = {}
        self._uses: dict[int, int] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, text: str) -> int:
        """Return the number of an address as the kernel writes it, -1 for one that has none."""
        return self._numbers.get(text, -1)

    def text(self, number: int) -> str:
        """Return the address that has this number."""
        return self._texts[number]

    def hold(self, text: str) -> int:
        """Give an address its number, or count one use more. 0 for what is no address."""
        if not (text := canonical(text)):
            return 0
        number = self._numbers.get(text)
        if number is None:
            number = self._last = self._last + 1
            self._numbers[text] = number
            self._texts[number] = text
            self._uses[number] = 0
        self._uses[number] += 1
        return number

    def drop(self, number: int) -> None:
        """Undo one `hold`. A number is never given to another address."""
        if not number:
            return
        self._uses[number] -= 1
        if not self._uses[number]:
            del self._numbers[self._texts.pop(number)], self._uses[number]


def canonical(text: str) -> str:
    """Write an address as the kernel does; "" for what is none."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, text))
    except (OSError, ValueError):
        return ""


class Batch:
    """The cells that packets lie in from their arrival until they leave, and what came last.

    `data` (cells, 1600) uint8; `size` (cells,) says how much of a cell is packet. The first
    SCRATCH_CELLS are for what is made here; of the others `free_count` hold nothing. Pages that
    were never used take no memory, and the cell given back last is taken first.

    What came in one go, (rows,) int64 each: packet i lies in `cell[i]`; who reads the batch gives
    its cells back. `port` is 0, and `address` means nothing, where the
    kernel vouches for the sender: the door is connected. Else `address` is its number (Addresses),
    -1 for an unknown one, and `senders` has it as text.
    """

    def __init__(self, rows: int = BATCH_ROWS, cells: int = CELLS) -> None:
        self.data: NDArray[np.uint8] = np.zeros((SCRATCH_CELLS + cells, CELL_BYTES), np.uint8)
        self._free = np.arange(SCRATCH_CELLS + cells - 1, SCRATCH_CELLS - 1, -1)
        self.free_count = cells
        self.size: NDArray[np.int64] = np.zeros(len(self.data), np.int64)
        self.cell: NDArray[np.int64] = np.zeros(rows, np.int64)
        self.door: NDArray[np.int64] = np.zeros(rows, np.int64)
        self.address: NDArray[np.int64] = np.zeros(rows, np.int64)
        self.port: NDArray[np.int64] = np.zeros(rows, np.int64)
        self.senders: dict[int, Remote] = {}

    def __len__(self) -> int:
        return len(self.cell)

    def room(self) -> int:
        """Return how many packets may come now."""
        return min(len(self.cell), self.free_count)

    def take(self, count: int) -> NDArray[np.int64]:
        """Return free cells, (count,), not to be kept: it is a view."""
        self.free_count -= count
        return self._free[self.free_count : self.free_count + count]

    def give_back(self, cells: NDArray[np.int64]) -> None:
        """Free cells: what lies in them is done with."""
        self._free[self.free_count : self.free_count + len(cells)] = cells
        self.free_count += len(cells)


class Wire(Protocol):
    """Sockets, or something that behaves like them. Nothing here waits or raises, but `open`."""

    batch: Batch

    def reaches(self, address: str) -> bool:
        """Tell whether the wire has an address of the family of this one."""
        ...

    def open(self, row: int, port: int) -> None:
        """Bind the doors of `row` to `port` and `port + 1`. Raises OSError, and keeps neither."""
        ...

    def close(self, row: int) -> None:
        """Unbind both doors. Nothing leaves or comes by them any more."""
        ...

    def aim(self, door: int, remote: Remote | None, *, is_latched: bool) -> None:
        """Send to `remote` from now on, or to nobody; when latched, hear only it.

        A wire that cannot shut others out goes on naming the senders.
        """
        ...

    def receive(self) -> int:
        """Fill the front of `batch` with what has come; return how many rows.

        In the order of arrival for each door, and at most LOOKS of one door.
        """
        ...

    def send(self, doors: NDArray[np.int64], cells: NDArray[np.int64]) -> int:
        """Send the packet in `cells[i]` by `doors[i]`; return how many would not go."""
        ...
