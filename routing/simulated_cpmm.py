"""What a simulated constant-product pool holds at a slot: its depth stays, and its price follows the market's.

What it refuses: to know a swap, or which venue lists the pool.
"""

from dataclasses import dataclass
from math import isqrt, prod

from solders.pubkey import Pubkey

from routing.cpmm import CpmmPool
from routing.market import Market, depth_base
from routing.pool import PRICE_ONE
from routing.simulated_pools import Listed
from routing.spl import derived_address


@dataclass(frozen=True, slots=True)
class CpmmListing:
    """A constant-product pool of every pair; see `Listing`.

    `share_pct` is its part of the pair's depth, of each token. `config_index` names the config of Raydium's program
    that sets the fee; a venue's listings differ in it.
    """

    fee_ppm: int
    share_pct: int
    config_index: int = 0

    def config(self, program_id: Pubkey) -> Pubkey:
        """Where the program keeps the config; seeds as in raydium-io/raydium-cp-swap (`create_config.rs`)."""
        return derived_address(program_id, b"amm_config", self.config_index.to_bytes(2, "big"))

    def address(self, program_id: Pubkey, mint_x: Pubkey, mint_y: Pubkey) -> Pubkey:
        """See `Listing.address`. Seeds as in raydium-io/raydium-cp-swap (`instructions/initialize.rs`)."""
        config = self.config(program_id)
        return derived_address(program_id, b"pool", bytes(config), bytes(mint_x), bytes(mint_y))

    def state(self, pool: Listed, market: Market, *, slot: int, slot_ms: int) -> CpmmPool:
        """See `Listing.state`.

        k is the depth at base prices, and stays; at a price p of X, the reserves are sqrt(k / p) and sqrt(k * p).
        """
        k = prod(depth_base(pool.token_x, pool.token_y, share_pct=self.share_pct))
        price = market.pool_price(
            pool=pool.address, token_x=pool.token_x, token_y=pool.token_y, slot=slot
        )
        return CpmmPool(
            venue=pool.venue,
            address=pool.address,
            token_x=pool.token_x,
            token_y=pool.token_y,
            slot=slot,
            reserve_x_base=isqrt(k * PRICE_ONE // price),
            reserve_y_base=isqrt(k * price // PRICE_ONE),
            fee_ppm=self.fee_ppm,
        )
