"""Python's garbage collector, for processes that serve for long.

Reference counting frees nearly all that an order leaves behind. What is loaded at the start never goes away, and a full
collection that looks at all of it stops every thread for as long as dozens of orders take.
"""

import gc


def spare_what_is_loaded() -> None:
    """Take all that exists by now out of later collections, and have fewer of those. For once, when all is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
