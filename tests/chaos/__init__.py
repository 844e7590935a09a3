"""Chaos on real processes: orders under load while everything beneath them is killed, frozen, wiped and cut off.

`make chaos` runs it whole, `test_chaos.py` in short. What clients saw, what PostgreSQL holds and what the chain holds
are compared afterwards by a judge that knows nothing of how the run went.
"""
