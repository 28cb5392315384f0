"""The other end of `clock.in_process`: do the work, print seconds, peak memory and result."""

import importlib
import json
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    """Run MODULE FUNCTION ARGUMENTS-AS-JSON; the last line printed is what it took."""
    module, function, arguments = sys.argv[1:]
    work = getattr(importlib.import_module(module), function)
    started = time.perf_counter()
    result = work(**json.loads(arguments))
    took = time.perf_counter() - started
    print(json.dumps({"seconds": took, "peak_bytes": peak_bytes(), "result": result}))


def peak_bytes() -> int:
    """Most memory this process ever held.

    Linux hands a child its parent's peak in getrusage; /proc tells the process's own.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
