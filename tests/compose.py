"""docker-compose.yml, Dockerfile and .dockerignore, read as Docker reads them (as far as ours use)."""

import fnmatch
import re
import secrets
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from config.stack.engine_processes import PROJECT

# What docker-compose.yml requires.
SECRETS = {
    "SECRET_KEY": secrets.token_urlsafe(50),
    "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
    "REDIS_PASSWORD": secrets.token_urlsafe(24),
    "FLOWER_BASIC_AUTH": f"operator:{secrets.token_urlsafe(24)}",
}
VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}|(?P<bare>\w+))"
)


class RequiredVariable(Exception):
    """`${NAME:?sentence}` without a NAME: Compose refuses to start, with the sentence."""


def load_compose(env: Mapping[str, str]) -> dict[str, Any]:
    """The file with every variable replaced; an environment entry without a value is passed on or left out."""
    compose = _interpolate(yaml.safe_load(compose_text()), env)
    for service in compose["services"].values():
        given = service.get("environment", {})
        service["environment"] = {
            name: env[name] if value is None else str(value)
            for name, value in given.items()
            if value is not None or name in env
        }
    return compose


def compose_variables() -> set[str]:
    """Every variable that the file reads: those it interpolates and those it passes on."""
    services = yaml.safe_load(compose_text())["services"].values()
    passed_on = {
        name
        for service in services
        for name, value in service.get("environment", {}).items()
        if value is None
    }
    found = [match.groupdict() for match in VARIABLE.finditer(compose_text())]
    return passed_on | {match["name"] for match in found if match["name"]}


def compose_text() -> str:
    """Without comments, whose dollars mean nothing."""
    text = (PROJECT / "docker-compose.yml").read_text()
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def _interpolate(node: Any, env: Mapping[str, str]) -> Any:
    match node:
        case dict():
            return {key: _interpolate(value, env) for key, value in node.items()}
        case list():
            return [_interpolate(value, env) for value in node]
        case str():
            return VARIABLE.sub(lambda found: _value(found, env), node)
        case _:
            return node


def _value(found: re.Match[str], env: Mapping[str, str]) -> str:
    if found["escaped"]:
        return "$"
    name = found["name"] or found["bare"]
    if found["kind"] == "-":
        return env.get(name) or found["rest"]
    if found["kind"] == "?" and not env.get(name):
        raise RequiredVariable(f"{name}: {found['rest']}")
    return env.get(name, "")


def proxy_conf() -> str:
    return (PROJECT / "config/proxy.conf").read_text()


def dockerfile() -> list[tuple[str, list[str]]]:
    """Its instructions as (name, words)."""
    text = (PROJECT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (name.upper(), shlex.split(rest))
        for name, _, rest in (line.partition(" ") for line in joined.splitlines())
    ]


def image_environment() -> dict[str, str]:
    """What the final stage sets, but for PATH."""
    words = [word for name, rest in dockerfile() if name == "ENV" for word in rest]
    variables = dict(word.split("=", 1) for word in words)
    return {name: value for name, value in variables.items() if name != "PATH"}


def is_in_context(path: Path) -> bool:
    """Whether `docker build` sees a path of the project: the last line of .dockerignore that fits decides."""
    text = (PROJECT / ".dockerignore").read_text()
    patterns = [line for line in text.splitlines() if line and not line.startswith("#")]
    ignored = False
    parts = path.relative_to(PROJECT).parts
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        if wanted.startswith("**/"):
            fits = any(fnmatch.fnmatch(part, wanted[3:]) for part in parts)
        else:
            fits = fnmatch.fnmatch(parts[0], wanted)
        if fits:
            ignored = not pattern.startswith("!")
    return not ignored


def copy_context(into: Path) -> None:
    """The image's /engine: what `COPY . .` finds in the context."""
    for path in filter(is_in_context, PROJECT.iterdir()):
        if path.is_dir():
            shutil.copytree(path, into / path.name, ignore=_out_of_context)
        else:
            shutil.copy2(path, into / path.name)


def _out_of_context(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not is_in_context(Path(folder) / name)]
