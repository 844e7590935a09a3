"""The client of the account that the tests ask as."""

import pytest

from tests.api.client import Api


@pytest.fixture
def api(api_key: str) -> Api:
    return Api(api_key)
