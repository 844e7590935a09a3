"""`config.web` with little patience for a reader that reads nothing."""

import sys

from config import web

web.READ_TIMEOUT_S = 0.5

if __name__ == "__main__":
    web.CommandLine().run(["--verbosity", "0", *sys.argv[1:], "config.asgi:application"])
