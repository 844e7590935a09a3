"""What a simulated DLMM pool holds at a slot: a landscape of bins that stays while the price walks over it.

Every bin, by its id, has a roughness of its own for ever, and a few are empty. Over that lies a bell around the price,
which those who provide the liquidity move after it every ten minutes. What it refuses: to know where the pool's price
comes from, a swap, or what a swap pays.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from solders.pubkey import Pubkey

from routing.dlmm import DlmmPool, bin_of_price, price_q64
from routing.dlmm_presets import PRESETS, Preset
from routing.market import Market, depth_base
from routing.pool import PRICE_ONE
from routing.rounding import BPS, PPM
from routing.simulated_pools import Listed
from routing.spl import derived_address
from routing.tokens import Token

BINS: Final = 70
"""As many as one of Meteora's bin arrays has; half of them are below the active one."""
BELL_MOVES_EVERY_SLOTS: Final = 1_500

_REACH: Final = BINS // 2
# Beyond the bell lies a tenth of its height, for when the price has left it.
_FLOOR_PPM: Final = 100_000
# A hash has a byte for each of 64 bins; the lowest bytes leave theirs empty.
_BINS_A_DRAW: Final = 64
_EMPTY_BELOW: Final = 4
# A swap of others comes in every such time, early or late in it: more often than any filter period is long.
_SWAP_EVERY_S: Final = 5


@dataclass(frozen=True, slots=True)
class DlmmListing:
    """A DLMM pool of every pair, of a bin step that `PRESETS` has; see `Listing`.

    `share_pct` is its part of the pair's depth, of each token.
    """

    bin_step: int
    share_pct: int

    def address(self, program_id: Pubkey, mint_x: Pubkey, mint_y: Pubkey) -> Pubkey:
        """See `Listing.address`. Seeds as in MeteoraAg/dlmm-sdk (`commons/src/pda.rs`)."""
        step, factor = self.bin_step, PRESETS[self.bin_step].base_factor
        seeds = (bytes(mint_x), bytes(mint_y), *(n.to_bytes(2, "little") for n in (step, factor)))
        return derived_address(program_id, *seeds)

    def state(self, pool: Listed, market: Market, *, slot: int, slot_ms: int) -> DlmmPool:
        """See `Listing.state`."""
        bins = SimulatedBins(
            market=market,
            venue=pool.venue,
            address=pool.address,
            token_x=pool.token_x,
            token_y=pool.token_y,
            bin_step=self.bin_step,
            share_pct=self.share_pct,
            slot_ms=slot_ms,
        )
        return bins.at(slot)


@dataclass(frozen=True, slots=True)
class SimulatedBins:
    """One DLMM pool. It holds about `share_pct` of the pair's depth of each token."""

    market: Market
    venue: str
    address: str
    token_x: Token
    token_y: Token
    bin_step: int
    share_pct: int
    slot_ms: int

    @property
    def _preset(self) -> Preset:
        return PRESETS[self.bin_step]

    def at(self, slot: int) -> DlmmPool:
        """The pool's state at `slot`, as seed and slot alone decide it."""
        active_id, risen_ppm = self._stands_at(slot)
        lowest_id = active_id - _REACH
        worth_base = self._worth_base(slot, lowest_id)
        in_y_ppm = [PPM] * _REACH + [risen_ppm] + [0] * (BINS - _REACH - 1)
        bins_y_base = tuple(
            worth * ppm // PPM for worth, ppm in zip(worth_base, in_y_ppm, strict=True)
        )
        bins_x_base = tuple(
            (worth - y_base) * PRICE_ONE // price_q64(self.bin_step, bin_id)
            for bin_id, (worth, y_base) in enumerate(
                zip(worth_base, bins_y_base, strict=True), start=lowest_id
            )
        )
        index_reference, volatility_reference = self._references(slot)
        now_s = slot * self.slot_ms // 1_000
        return DlmmPool(
            venue=self.venue,
            address=self.address,
            token_x=self.token_x,
            token_y=self.token_y,
            slot=slot,
            bin_step=self.bin_step,
            active_id=active_id,
            lowest_id=lowest_id,
            bins_x_base=bins_x_base,
            bins_y_base=bins_y_base,
            index_reference=index_reference,
            volatility_reference=volatility_reference,
            volatility_accumulator=self._volatility(
                volatility_reference, index_reference, active_id
            ),
            last_update_s=self._last_update_s(now_s),
            now_s=now_s,
            **_fees(self.bin_step),
        )

    def _stands_at(self, slot: int) -> tuple[int, int]:
        """The bin with the price nearest to the pool's, and how far the pool's has risen through it, in ppm.

        A bin is active from half a step below its price to half a step above: arbitrage leaves a price that is fair on
        average.
        """
        price = self.market.pool_price(
            pool=self.address, token_x=self.token_x, token_y=self.token_y, slot=slot
        )
        raised = self._half_a_step_up(price)
        bin_id = bin_of_price(self.bin_step, raised)
        bottom, top = price_q64(self.bin_step, bin_id), price_q64(self.bin_step, bin_id + 1)
        return bin_id, PPM * (raised - bottom) // (top - bottom)

    def _worth_base(self, slot: int, lowest_id: int) -> list[int]:
        """What each bin from `lowest_id` on is worth, in base units of Y."""
        _, depth_y_base = depth_base(self.token_x, self.token_y, share_pct=self.share_pct)
        bell_id = self._bell_id(slot)
        return [
            2 * depth_y_base * _shape_ppm(bin_id - bell_id) * rough_ppm // (_WHOLE_SHAPE_PPM * PPM)
            for bin_id, rough_ppm in enumerate(self._rough_ppm(lowest_id), start=lowest_id)
        ]

    def _bell_id(self, slot: int) -> int:
        """The bin around which the liquidity lies: where the market, not the pool, stood when it was moved last."""
        moved = self._last_turn("bell", slot, every=BELL_MOVES_EVERY_SLOTS)
        price = self.market.reference_price(self.token_x, self.token_y, slot=moved)
        return bin_of_price(self.bin_step, self._half_a_step_up(price))

    def _rough_ppm(self, lowest_id: int) -> list[int]:
        """By how much of the bell's shape each bin from `lowest_id` on differs: 0, or half to one and a half."""
        first, start = divmod(lowest_id, _BINS_A_DRAW)
        drawn = b"".join(self._drawn(f"bins:{first + more}") for more in range(3))
        return [
            PPM // 2 + PPM * byte // 255 if byte >= _EMPTY_BELOW else 0
            for byte in drawn[start : start + BINS]
        ]

    def _references(self, slot: int) -> tuple[int, int]:
        """The index and the volatility that fees refer to: as if swaps had paused at the end of each filter period."""
        period = max(1, self._preset.filter_period_s * 1_000 // self.slot_ms)
        paused = self._last_turn("pause", slot, every=period)
        before_id, index_reference = (self._stands_at(at)[0] for at in (paused - period, paused))
        volatility = self._volatility(0, before_id, index_reference)
        return index_reference, volatility * self._preset.reduction_factor // BPS

    def _volatility(self, remembered: int, from_id: int, to_id: int) -> int:
        volatility = remembered + abs(to_id - from_id) * BPS
        return min(volatility, self._preset.max_volatility_accumulator)

    def _last_update_s(self, now_s: int) -> int:
        this = now_s // _SWAP_EVERY_S
        swaps_at_s = (
            turn * _SWAP_EVERY_S + self._drawn(f"swap:{turn}")[0] % _SWAP_EVERY_S
            for turn in (this, this - 1)
        )
        return next(at_s for at_s in swaps_at_s if at_s <= now_s)

    def _last_turn(self, what: str, slot: int, *, every: int) -> int:
        """The last slot, up to this one, of those that come `every` so many: other slots for another pool."""
        phase = int.from_bytes(self._drawn(what)[:4], "little")
        return slot - (slot + phase) % every

    def _half_a_step_up(self, price: int) -> int:
        return price * (2 * BPS + self.bin_step) // (2 * BPS)

    def _drawn(self, label: str) -> bytes:
        return self.market.draw(f"{label}:{self.address}")


@lru_cache
def _fees(bin_step: int) -> Mapping[str, int]:
    return MappingProxyType(asdict(PRESETS[bin_step]))


@lru_cache(maxsize=1_024)
def _shape_ppm(distance: int) -> int:
    """The bell (1 - u*u)**2, for u = -1 .. 1 over its reach, on its floor."""
    if abs(distance) >= _REACH:
        return _FLOOR_PPM
    return _FLOOR_PPM + PPM * (_REACH**2 - distance**2) ** 2 // _REACH**4


_WHOLE_SHAPE_PPM: Final = sum(map(_shape_ppm, range(-_REACH, _REACH)))
