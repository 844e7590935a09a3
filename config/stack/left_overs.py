"""Engine processes that outlived their supervisor and its guard, both killed."""

import json
import os
from contextlib import suppress
from pathlib import Path

import psutil

PATIENCE_S = 8.0


def stop_left_overs(*, ready_path: Path) -> list[str]:
    """Stop those that `ready.json` of a killed run still names. Call under the folder's lock.

    A number that has gone to another program since is not stopped: only the engine's processes
    have this folder as DATA_DIR. The servers see to their own (config/stack/embedded_server.py).
    """
    try:
        pids: dict[str, int] = json.loads(ready_path.read_text())["pids"]
    except (OSError, ValueError, KeyError):
        return []
    found = {}
    for name, pid in pids.items():
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if pid != os.getpid() and process.environ().get("DATA_DIR") == str(ready_path.parent):
                process.terminate()
                found[name] = process
    _, stubborn = psutil.wait_procs(found.values(), timeout=PATIENCE_S)
    for process in stubborn:
        with suppress(psutil.Error):
            process.kill()
    return list(found)
