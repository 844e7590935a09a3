"""Nothing stands inline, and nothing comes from elsewhere."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from config.stack.engine_processes import PROJECT

TEMPLATES = sorted((PROJECT / "templates").rglob("*.html"))
SCRIPTS = sorted((PROJECT / "static").rglob("*.js"))
INLINE = re.compile(
    r"<style|\sstyle=|\son[a-z]+=\"|javascript:|<script(?![^>]*\bsrc=)[^>]*>(?!\s*</script>)"
)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_style_or_script_inline(template: Path) -> None:
    assert INLINE.findall(template.read_text()) == []


@pytest.mark.parametrize("text", ['<p style="x">', '<a onclick="x">', "<script>x</script>"])
def test_what_is_looked_for_would_be_found(text: str) -> None:
    assert INLINE.search(text)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_module_loads_anything_from_elsewhere(script: Path) -> None:
    text = script.read_text()

    assert not re.search(r"(?:import|fetch|src)\W[^\n]*https?://", text)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/sign-in", "/nowhere", "/admin/", "/ops/", "/api/docs"])
def test_every_page_says_what_it_may_load(path: str) -> None:
    client = Client(raise_request_exception=False)
    if path != "/sign-in":
        client.force_login(User.objects.create_superuser("root"))

    policy = client.get(path)["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert set(settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]["script-src"]) == {"'self'"}
