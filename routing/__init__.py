"""Where a swap goes and what it does on chain: tokens, venues, routes, transactions, the chain.

Plain Python. It knows nothing of orders, Django or Celery; start at `routing.exchange`.
"""
