"""What docker-compose.yml, the Dockerfile and .env.example promise; test_compose_services.py runs them."""

import ast
import itertools
import re
from importlib.metadata import packages_distributions
from typing import Any

import pytest

from config.stack import DEFAULT_PORTS
from config.stack.embedded import POSTGRES_SETTINGS
from config.stack.engine_processes import PROJECT
from tests.compose import (
    SECRETS,
    RequiredVariable,
    compose_variables,
    dockerfile,
    image_environment,
    is_in_context,
    load_compose,
    proxy_conf,
)

SERVICES: dict[str, dict[str, Any]] = load_compose(SECRETS)["services"]
OURS = ("migrate", "web", "stream", "worker", "beat", "flower")
# Those that share the settings, and the folder of the keys.
ENGINE = ("migrate", "web", "stream", "worker")
# What a service reads of its environment besides the settings.
OF_ITS_IMAGE = {
    "postgres": {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "POSTGRES_INITDB_ARGS"},
    "redis": {"REDIS_PASSWORD"},
    "flower": {"FLOWER_BASIC_AUTH"},
}
# Defaults that are no literals in settings.py.
COMPUTED = {
    "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
    "CSRF_TRUSTED_ORIGINS": "",
    "DATA_DIR": "",
    "DB_POOL_SIZE": "",
    "LOG_LEVEL": "INFO",
    "MAX_ORDER_AMOUNT": "1000000000",
    "MOCK_HISTORY_H": "720",
    "REDIS_URL": "",
}


def settings_with_defaults() -> dict[str, str | None]:
    """The variables that settings.py reads; a default is None if it is no literal."""
    found: dict[str, str | None] = {}
    for call in ast.walk(ast.parse((PROJECT / "config/settings.py").read_text())):
        if not (isinstance(call, ast.Call) and len(call.args) >= 2):
            continue
        name, default = call.args[:2]
        reads = ast.unparse(call.func).startswith("env.") or ast.unparse(call.func) in (
            "faults",
            "milliseconds",
            "rate",
        )
        if reads and isinstance(name, ast.Constant):
            literal = default.value if isinstance(default, ast.Constant) else None
            text = str(literal).lower() if isinstance(literal, bool) else str(literal)
            found[name.value] = None if literal is None else text
    return found


def example_env() -> dict[str, str]:
    lines = (PROJECT / ".env.example").read_text().splitlines()
    return dict(line[1:].split("=", 1) for line in lines if re.match(r"#[A-Z_]+=", line))


def test_the_example_lists_every_variable_with_its_default() -> None:
    settings = settings_with_defaults()
    of_up = {name: str(port) for name, port in DEFAULT_PORTS.items()} | {"WEB": "together"}
    assert set(example_env()) == set(settings) | compose_variables() | set(of_up)
    for name, default in (settings | of_up).items():
        assert example_env()[name] == (COMPUTED[name] if default is None else default), name


def test_every_line_of_the_example_says_what_it_is_for() -> None:
    lines = (PROJECT / ".env.example").read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if re.match(r"#[A-Z_]+=", line):
            assert re.match(r"# \w.*[.:]$", above), line


@pytest.mark.parametrize("name", SECRETS)
def test_a_missing_secret_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(RequiredVariable, match=rf"{name}: set {name} in \.env to"):
        load_compose({other: value for other, value in SECRETS.items() if other != name})


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_gets_settings_and_nothing_else(name: str) -> None:
    every = load_compose(dict.fromkeys(compose_variables(), "1"))["services"][name]["environment"]
    known = set(settings_with_defaults()) if name in OURS else set()
    assert set(every) <= known | OF_ITS_IMAGE.get(name, set())
    if name in ENGINE:
        # DEBUG shows tracebacks: a `.env` made for a laptop must not bring it here.
        assert set(every) == known - {"DEBUG"}


def test_postgresql_is_told_what_the_embedded_one_is() -> None:
    told = dict(word.split("=") for word in SERVICES["postgres"]["command"] if "=" in word)
    assert told == {name: POSTGRES_SETTINGS[name] for name in told}
    assert {"max_connections", "autovacuum_naptime"} == set(told)


def test_every_image_is_pinned() -> None:
    stages = [rest for name, rest in dockerfile() if name == "FROM"]
    images = [service["image"] for service in SERVICES.values()] + [rest[0] for rest in stages]
    assert all(re.search(r":\d+\.\d+(\.\d+)?(-[a-z-]+)?$", image) for image in images), images
    assert all("python:3.11." in rest[0] for rest in stages)


def test_the_image_holds_no_secret_and_runs_as_nobody_special() -> None:
    user = [rest[0] for name, rest in dockerfile() if name == "USER"][-1]
    assert user.split(":")[0] not in ("root", "0")
    assert not {name for name in image_environment() if re.search("KEY|SECRET|PASSW|AUTH", name)}
    assert not any(name == "ARG" for name, _ in dockerfile())
    private = (".env", ".data", ".git", ".venv", "tests", "ready.json")
    assert not any(is_in_context(PROJECT / name) for name in private)


def test_whatever_the_image_copies_is_there() -> None:
    for name, rest in dockerfile():
        if name == "COPY" and not rest[0].startswith("--from"):
            for source in rest[:-1]:
                assert (PROJECT / source).exists()
                assert source == "." or is_in_context(PROJECT / source)


def test_the_image_installs_what_the_code_imports() -> None:
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (PROJECT / "requirements.txt").read_text(), re.M))
    distributions = packages_distributions()
    for path in (
        p for folder in ("config", "orders", "routing") for p in PROJECT.glob(f"{folder}/**/*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in {name.split(".")[0] for name in names} & set(distributions):
                if module in {"matplotlib", "PIL"}:  # for pictures only, where developers have them
                    continue
                installs = {re.sub("[-_.]+", "-", d).lower() for d in distributions[module]}
                assert installs & pinned, f"{path.relative_to(PROJECT)} imports {module}"


def test_only_the_proxy_and_flower_can_be_reached_and_only_from_here() -> None:
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert set(published) == {"proxy", "flower"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_the_proxy_asks_services_that_are_there_at_ports_that_they_listen_on() -> None:
    proxy = proxy_conf()
    for name, port in re.findall(r"server (\w+):(\d+) resolve;", proxy):
        command = SERVICES[name]["command"]
        assert command[command.index("--port") + 1] == port
        assert command[command.index("--host" if name == "web" else "--bind") + 1] == "0.0.0.0"
        assert SERVICES["proxy"]["depends_on"][name] == {"condition": "service_healthy"}
    (listens_on,) = re.findall(r"listen (\d+)", proxy)
    assert SERVICES["proxy"]["ports"][0].endswith(f":{listens_on}")


def test_volumes_are_declared_and_the_workers_share_the_signers() -> None:
    mounts = [mount.split(":") for s in SERVICES.values() for mount in s.get("volumes", [])]
    files = {mount[0] for mount in mounts if mount[0].startswith("./")}
    assert {mount[0] for mount in mounts} - files == set(load_compose(SECRETS)["volumes"])
    assert all((PROJECT / name).is_file() for name in files)
    for name in ENGINE:
        assert SERVICES[name]["volumes"] == [f"data:{SERVICES[name]['environment']['DATA_DIR']}"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_little_and_stops_cleanly(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] and service["init"] and service["tmpfs"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["stop_grace_period"]
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")


def test_who_waits_waits_for_something_that_can_happen() -> None:
    for service in SERVICES.values():
        for name, wait in service.get("depends_on", {}).items():
            wanted = "completed_successfully" if name == "migrate" else "healthy"
            assert wait["condition"] == f"service_{wanted}"
            assert ("healthcheck" in SERVICES[name]) == (wanted == "healthy")
