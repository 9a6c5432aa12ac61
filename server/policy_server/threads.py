"""Where slow inferences run, so that probes and other requests don't wait for them."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from policy_server.errors import Overloaded

Result = TypeVar("Result")

# One for each core: ONNX Runtime computes without Python's lock. But few, for a container may have less than the cores
# that it sees; who has more gives them to more processes.
_MOST = min(4, len(os.sched_getaffinity(0)))


class Threads:
    """The threads of one policy, so that one which hangs keeps no other waiting; started when they are first needed."""

    def __init__(self, most: int = _MOST) -> None:
        self._pool = ThreadPoolExecutor(most, "inference")

    async def run(self, answer: Callable[[], Result], patience: float | None = None) -> Result:
        """Returns what `answer` returns, and raises what it raises, while the event loop goes on.

        Args:
            answer: what is done.
            patience: the seconds that it may take once it has begun, and those that it is waited for until then.

        Raises:
            Overloaded: all threads were busy all the time.
            TimeoutError: it took longer.
        """
        loop = asyncio.get_running_loop()
        if patience is None:
            return await loop.run_in_executor(self._pool, answer)
        begun = asyncio.Event()

        def begin() -> Result:
            loop.call_soon_threadsafe(begun.set)
            return answer()

        made = loop.run_in_executor(self._pool, begin)
        try:
            await asyncio.wait_for(begun.wait(), patience)
        except TimeoutError:
            made.cancel()
            raise Overloaded(f"all threads of this policy were busy for {patience:g} s; come again later") from None
        return await asyncio.wait_for(made, patience)
