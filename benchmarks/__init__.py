"""How fast the engine is, and whether it keeps its promises while it is: `make bench`, or `python -m benchmarks`.

Each scenario starts a whole engine of its own, drives it from a process of its own (load.py), and checks every order
and every stream afterwards.
"""
