"""How orders and quotes are named."""

import uuid

import uuid_utils.compat


def new_order_id() -> uuid.UUID:
    """UUIDv7: later orders have larger ids, so that indexes grow at one end and lists need no other order."""
    return uuid_utils.compat.uuid7()
