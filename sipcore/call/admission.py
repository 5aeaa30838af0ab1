"""How much new work a busy node lets in: a share, held where the oldest message waits 30 ms.

Pure: told how long messages waited and how late the loop is; asked for each piece of new work.
"""

import math
from collections.abc import Mapping

TARGET_S = 0.03  # a queue that long keeps the node busy; one that a poll empties is none
STEP_S = 0.1
LEAST = 0.01  # of new work is let in however bad it is: from there back to all takes 8 s
INTEGRAL = 0.06  # by which the logarithm of the share rises in a step without any queue
PROPORTIONAL = 0.12  # against swinging
MEMORY = 0.8  # of a step's requests by weight that the next step knows
MOST_ERROR = 2.0  # a stall of a second is one bad step, no more than one of 0.1 s
KNOWN = 3.0  # so many times as likely as a stranger's: of known sources, or with credentials
LISTED = 6.0  # of carriers and trunks, whose share this is


class Admission:
    """One per node. A stall that passes within a step or two refuses nobody: the least wait of a
    step counts, and a queue that was empty once in it was no queue."""

    def __init__(self) -> None:
        self.share = 1.0
        self.waited_s = 0.0  # the least of the last step
        self._log = 0.0
        self._error = 1.0
        self._least_s: float | None = None
        self._late_s = 0.0
        self._offered: dict[float, float] = {}  # by weight, of late
        self._level = 1.0  # what is let in of weight 1

    @property
    def is_calm(self) -> bool:
        """True while everything is let in."""
        return self.share >= 1.0

    def observe(self, waited_s: float) -> None:
        """Take note of how long the oldest message of a batch had waited; 0: none was left."""
        if self._least_s is None or waited_s < self._least_s:
            self._least_s = waited_s

    def step(self, late_s: float) -> None:
        """Judge, every STEP_S. `late_s`: by how much the loop was late to do so."""
        late_s, self._late_s = min(late_s, self._late_s), late_s
        self.waited_s = max(self._least_s or 0.0, late_s)
        self._least_s = None
        error = max(1.0 - self.waited_s / TARGET_S, -MOST_ERROR)
        self._log += INTEGRAL * error + PROPORTIONAL * (error - self._error)
        self._log = min(max(self._log, math.log(LEAST)), 0.0)
        self._error = error
        self.share = math.exp(self._log)
        self._level = level(self.share, self._offered)
        self._offered = {weight: count * MEMORY for weight, count in self._offered.items()}

    def admits(self, dice: float, weight: float = 1.0) -> bool:
        """Decide by a number in [0, 1) that repeats of the same request share."""
        self._offered[weight] = self._offered.get(weight, 0.0) + 1
        return dice < self._level * weight


def level(share: float, offered: Mapping[float, float]) -> float:
    """Return what of weight 1 is let in, so that `share` of all that is offered comes in when each
    weight has its multiple of it, and none more than all."""
    left = share * sum(offered.values())
    weighed = sum(weight * count for weight, count in offered.items())
    for weight in sorted(offered, reverse=True):
        if left >= weighed / weight:  # even this heavy one comes in whole, and all heavier ones
            left -= offered[weight]
            weighed -= weight * offered[weight]
        else:
            return left / weighed
    return 1.0 if offered else share
