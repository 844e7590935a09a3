"""WSGI entry point: REST and the console, without sockets."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from config import collector
from config.postgres import patience

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
patience.serve_web(silence_s=settings.DB_SILENCE_S)
collector.spare_what_is_loaded()
