"""What happens on a page, as an animated GIF: each frame that the browser drew, for as long as it stood."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page

WIDTH = 900
COLOURS = 128
# GIFs count in hundredths of a second, and browsers slow those down that are faster than this.
SHORTEST_FRAME_S = 0.05
LAST_FRAME_S = 2.0


@dataclass
class MovingPicture:
    """Frames as the browser drew them, and when."""

    frames: list[tuple[float, Image.Image]] = field(default_factory=list)

    def add(self, at_s: float, png: bytes) -> None:
        self.frames.append((at_s, Image.open(io.BytesIO(png)).convert("RGB")))

    def save(self, path: Path) -> None:
        frames = list(self._worth_showing())
        stand_s = [later - at for (at, _), (later, _) in pairwise(frames)] + [LAST_FRAME_S]
        # One palette, so that what stands still does not flicker.
        shown = [shrunk(image) for _, image in frames]
        palette = beside_each_other(shown).quantize(
            COLOURS, method=Image.Quantize.MAXCOVERAGE, kmeans=3
        )
        first, *others = (
            image.quantize(palette=palette, dither=Image.Dither.NONE) for image in shown
        )
        first.save(
            path,
            save_all=True,
            append_images=others,
            duration=[round(seconds * 100) * 10 for seconds in stand_s],
            loop=0,
            optimize=True,
        )

    def _worth_showing(self) -> Iterator[tuple[float, Image.Image]]:
        shown_at = 0.0
        for at_s, image in self.frames:
            if at_s - shown_at >= SHORTEST_FRAME_S:
                yield at_s, image
                shown_at = at_s


@contextmanager
def filmed(page: Page) -> Iterator[MovingPicture]:
    film = MovingPicture()
    camera = page.context.new_cdp_session(page)

    def keep(frame: dict[str, Any]) -> None:
        film.add(frame["metadata"]["timestamp"], base64.b64decode(frame["data"]))
        camera.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    camera.on("Page.screencastFrame", keep)
    camera.send("Page.startScreencast", {"format": "png"})
    try:
        yield film
    finally:
        camera.send("Page.stopScreencast")


def shrunk(image: Image.Image) -> Image.Image:
    return image.resize((WIDTH, image.height * WIDTH // image.width), Image.Resampling.LANCZOS)


def beside_each_other(images: list[Image.Image]) -> Image.Image:
    """Every fifth, and the last: among them all colours are seen."""
    seen = [*images[::5], images[-1]]
    width, height = seen[0].size
    all_of_them = Image.new("RGB", (width, height * len(seen)))
    for number, image in enumerate(seen):
        all_of_them.paste(image, (0, number * height))
    return all_of_them
