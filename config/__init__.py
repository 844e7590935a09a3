"""The Django project. Importing it makes the Celery application known to the tasks."""

from config.celery import app as celery

__all__ = ["celery"]
