"""Ports on loopback: which are free, and which are worth choosing."""

import random
import socket

# Below the ports that systems hand to outgoing connections (32768 and up): a client that keeps
# asking a stopped server on such a port can be given that very port as its own, connect to
# itself, and so keep the server from coming back.
CHOICES = range(20000, 32768)


def free_port() -> int:
    """A port of `CHOICES` that nothing on loopback uses now. Raises OSError if there is none."""
    for port in random.sample(CHOICES, len(CHOICES)):
        if port_is_free(port):
            return port
    raise OSError(f"No port is free between {CHOICES.start} and {CHOICES.stop - 1}.")


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do it: closing connections of a server that has just ended don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
