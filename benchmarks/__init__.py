"""How fast the engine is, and whether it keeps its promises while it is: `make bench`, or `python -m benchmarks`.

Each scenario starts a whole engine of its own, drives it from a process of its own (load.py, crowd_load.py), checks
every order and every stream afterwards, and ends with the audit. What PostgreSQL alone can do is measured beside it.
"""
