"""The health check of a worker or beat in its container: exit 0 if it answers over Redis.

    python -m config.healthcheck worker

Beat answers the question that workers answer, unless its schedule stands still.
"""

import os
import socket
import sys

from config.stack.probes import WorkerProbe

if __name__ == "__main__":
    node = f"{sys.argv[1]}@{socket.gethostname()}"
    sys.exit(0 if WorkerProbe(redis_url=os.environ["REDIS_URL"], node=node)() else 1)
