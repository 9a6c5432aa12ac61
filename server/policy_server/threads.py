"""Where slow inferences run, so that probes and other requests don't wait for them."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

# One for each core: ONNX Runtime computes without Python's lock. But few, for a container may have less than the cores
# that it sees; who has more gives them to more processes. They are started when they are first needed.
_WORKERS = ThreadPoolExecutor(min(4, len(os.sched_getaffinity(0))), "inference")


async def in_thread_if(slow: bool, answer: Callable[[], Result]) -> Result:
    """Returns what `answer` returns: from a thread, if it is slow."""
    return await in_thread(answer) if slow else answer()


async def in_thread(answer: Callable[[], Result]) -> Result:
    """Returns what `answer` returns, and raises what it raises, while the event loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(_WORKERS, answer)
