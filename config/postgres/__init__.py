"""The engine's database backend: Django's own for PostgreSQL, which waits for nothing without a limit."""
