"""`manage.py demo`: a client of the engine. It knows the wire format, no table and no task."""
