"""Where slow inferences run, so that probes and other requests don't wait for them."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

# As many as there are cores: ONNX Runtime computes without Python's lock, and more threads would only share the cores.
# They are started when they are first needed.
_WORKERS = ThreadPoolExecutor(len(os.sched_getaffinity(0)), "inference")


async def in_thread(answer: Callable[[], Result]) -> Result:
    """Returns what `answer` returns, and raises what it raises, while the event loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(_WORKERS, answer)
