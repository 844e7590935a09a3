"""`manage.py market`: what it shows, and what it refuses. It has no database here, and none may be needed."""

import re
import sys
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from config.stack.engine_processes import PROJECT
from routing.market import Market
from routing.tokens import SOL, TOKENS, USDC
from tests.routing.lab import pools_of

BONK = TOKENS["BONK"]


def shown(*arguments: str) -> str:
    out = StringIO()
    call_command("market", *arguments, stdout=out)
    return out.getvalue()


def rows(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines() if re.match(r" *\d+ +[\d.]+ ", line)]


def test_the_table_has_a_row_for_each_of_a_few_slots() -> None:
    printed = shown("--slots", "3", "--from", "7000", "--seed", "5")

    assert [row[0] for row in rows(printed)] == ["7000", "7001", "7002"]
    assert "1 SOL in USDC" in printed
    for row in rows(printed):
        slot, reference, *pools, spread = row
        dollars = Market(seed=5).price_pico_usd(SOL, int(slot)) / 10**12
        assert float(reference) == pytest.approx(dollars, abs=0.01)
        # Each pool has its price and how far that is from the reference.
        assert len(pools) == 8
        prices, distances_bps = pools[::2], pools[1::2]
        for price, distance_bps in zip(prices, distances_bps, strict=True):
            assert int(distance_bps) == pytest.approx(
                (float(price) / float(reference) - 1) * 10**4, abs=1.5
            )
        assert int(spread) == pytest.approx(
            max(map(int, distances_bps)) - min(map(int, distances_bps)), abs=2
        )


def test_a_long_range_is_sampled_and_summed_up() -> None:
    printed = shown("--slots", "5000", "--seed", "1")

    assert 15 <= len(rows(printed)) <= 20
    spreads = [int(row[-1]) for row in rows(printed)]
    summary = re.search(r"([\d.]+) bps in the median, ([\d.]+) bps at most, in (.*)", printed)
    assert summary is not None
    median_bps, most_bps = float(summary[1]), float(summary[2])
    assert summary[3] == "1,667 of 5,000 slots."
    assert min(spreads) <= median_bps <= most_bps and most_bps >= max(spreads) - 1


def test_a_cheap_token_is_priced_by_the_million() -> None:
    printed = shown("--pair", "BONK/SOL", "--slots", "1", "--from", "1000", "--seed", "1")

    market = Market(seed=1)
    price = Decimal(market.price_pico_usd(BONK, 1_000)) / market.price_pico_usd(SOL, 1_000)
    assert "1,000,000 BONK in SOL" in printed
    assert rows(printed)[0][1] == f"{price * 10**6:.5g}"


def test_the_seed_is_that_of_the_settings_unless_named(settings: LazySettings) -> None:
    settings.MOCK_SEED = 42

    assert shown("--slots", "2") == shown("--slots", "2", "--seed", "42")
    assert shown("--slots", "2") != shown("--slots", "2", "--seed", "43")


def test_either_token_may_come_first() -> None:
    one, other = (
        float(rows(shown("--pair", pair, "--slots", "1"))[0][1])
        for pair in ("mSOL/SOL", "SOL/mSOL")
    )

    assert one * other == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--pair", "SOL"), "--pair: 'SOL' is not a pair; write it like SOL/USDC."),
        (("--pair", "SOL/FOO"), "--pair: 'FOO' is none of the tokens SOL, USDC, USDT, .*PYTH"),
        (("--pair", "JUP/WIF"), "--pair: no pool trades JUP/WIF: one token must be SOL or USDC."),
        (("--pair", "SOL/SOL"), "--pair: no pool trades SOL/SOL"),
        (("--slots", "0"), "--slots: 1 to 1,000,000 slots can be shown, not 0."),
        (("--slots", "1000001"), "--slots: 1 to 1,000,000 slots can be shown, not 1,000,001."),
        (("--slots", "many"), "argument --slots: invalid int value: 'many'"),
        (("--from", "-1"), "--from: slots start at 0, so there is no slot -1."),
        (("--sizes",), "--slots: with --sizes there is one slot only, that of --from."),
        (("--plot", "/nowhere/x.png"), "--plot: /nowhere/x.png can't be written: .*No such file"),
        (("--plot", "x.foo"), "--plot: x.foo can't be written: .*'foo' is not supported"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_sentence_that_names_the_option(
    arguments: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        shown("--slots", "1", *arguments)


@pytest.mark.parametrize(
    ("name", "starts"), [("market.png", b"\x89PNG\r\n"), ("market.svg", b"<?xml")]
)
def test_a_picture_is_drawn_in_the_format_of_its_name(
    tmp_path: Path, name: str, starts: bytes
) -> None:
    printed = shown("--slots", "40", "--plot", str(tmp_path / name))

    assert (tmp_path / name).read_bytes().startswith(starts)
    assert rows(printed) == []
    assert "in 40 of 40 slots." in printed


def test_a_picture_shows_each_pool_and_the_reference(tmp_path: Path) -> None:
    drawn = tmp_path / "market.svg"

    shown("--slots", "40", "--plot", str(drawn))

    # Text is drawn as outlines, and named in comments.
    picture = drawn.read_text()
    pools = [pool for venue in ("raydium", "meteora") for pool in pools_of(venue, SOL, USDC)]
    labels = [f"{pool.venue.capitalize()} {pool.address[:4]}" for pool in pools]
    for label in (*labels, "Reference", "SOL/USDC, seed 1"):
        assert f"<!-- {label} -->" in picture


def test_without_matplotlib_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(CommandError, match="matplotlib is missing; `pip install -r"):
        shown("--slots", "1", "--plot", str(tmp_path / "market.png"))
    assert rows(shown("--slots", "1"))


def test_a_million_slots_are_looked_at_in_two_thousand_places() -> None:
    printed = shown("--slots", "1000000", "--pair", "USDC/SOL")

    assert "in 2,000 of 1,000,000 slots." in printed


@pytest.mark.parametrize("arguments", [("--sizes",), ("--slots", "40")])
@pytest.mark.parametrize("name", ["market.png", "market.svg", "market.pdf"])
def test_the_same_market_is_drawn_to_the_same_bytes(
    tmp_path: Path, arguments: tuple[str, ...], name: str
) -> None:
    drawn = tmp_path / name

    shown(*arguments, "--plot", str(drawn))
    first = drawn.read_bytes()
    shown(*arguments, "--plot", str(drawn))

    assert drawn.read_bytes() == first
    assert b"Date" not in first and b"Software" not in first


def test_the_document_shows_what_make_pictures_draws() -> None:
    document = (PROJECT / "docs/market.md").read_text()
    makefile = (PROJECT / "Makefile").read_text()

    commands = re.findall(r"manage\.py market .*--plot docs/.*\.png", makefile)

    assert len(commands) == 2
    for command in commands:
        picture = PROJECT / command.split()[-1]
        assert command in document
        assert f"({picture.name})" in document
        assert picture.stat().st_size < 150_000
