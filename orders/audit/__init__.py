"""Checks the promises on what is really there: the orders' database, and the chain."""
