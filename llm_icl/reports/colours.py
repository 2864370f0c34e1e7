"""A colour for each name: the same in all reports, told apart by readers of every kind of vision."""

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from zlib import crc32

import numpy as np

# Okabe & Ito's colours (safe for colour-blind readers), then others; all have a contrast of 3:1 with both pages.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#C4679B", "#A87C00", "#2E8FC9", "#8C6BB1", "#5A961A", "#E7298A", "#A6761D",
    "#1B8E77", "#7570B3", "#D4544A", "#6B8E23", "#A569BD", "#B15928", "#C2577A", "#5B7FDE", "#008B9E", "#C13B3B",
    "#9A7B4F", "#B0569A", "#3F8F4F", "#4878A8",
)  # fmt: skip
GREY = "#7A828C"
# References are grey in all reports, and told apart by their dashes and names.
REFERENCES = {"bayes": (), "bayes-labels": (8, 2), "nearest-neighbour": (4, 4), "best-constant": (1, 3)}
# Of names that share a colour, in their order.
_DASHES: tuple[tuple[int, ...], ...] = ((), (6, 3), (2, 2), (10, 3, 2, 3))
# Colours nearer to each other than this, in Oklab, are taken for one another on thin lines.
_NEAR = 0.04
# Linear RGB as seen without red or green cones (Machado, Oliveira & Fernandes 2009, severity 1).
_VISIONS = (
    np.eye(3),
    np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
)
# From linear RGB to Oklab (Ottosson 2020): cones, and opponents of their cube roots.
_CONES = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
_OPPONENTS = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip


def colours_of(names: Iterable[str], subjects: Collection[str] = ()) -> dict[str, str]:
    """A colour for each name, derived from the name: the same in all reports. Where it resembles one that is taken, the
    alphabetically later name gets the next that resembles none, or the one that resembles the others least; those of
    the subjects do not depend on what they are compared with.
    """
    chosen = {name: GREY for name in sorted(set(names)) if name in REFERENCES}
    taken: list[int] = []
    for name in sorted(set(names) - set(chosen), key=lambda name: (name not in subjects, name)):
        place = crc32(name.encode(errors="surrogatepass")) % len(COLOURS)
        turned = [(place + i) % len(COLOURS) for i in range(len(COLOURS))]
        apart = [_distances()[colour, taken].min(initial=np.inf) for colour in turned]
        found = next((i for i, distance in enumerate(apart) if distance >= _NEAR), int(np.argmax(apart)))
        chosen[name] = COLOURS[turned[found]]
        taken = [*taken, turned[found]] if len(taken) < len(COLOURS) - 1 else []
    return chosen


def dash_of(name: str, colours: Mapping[str, str]) -> tuple[int, ...]:
    """The dashes of a name's line, in px: of a reference its own, of names with one colour different ones."""
    if name in REFERENCES:
        return REFERENCES[name]
    alike = [other for other, colour in colours.items() if colour == colours[name] and other not in REFERENCES]
    return _DASHES[alike.index(name) % len(_DASHES)]


@cache
def _distances() -> np.ndarray:
    """(C, C): how far apart two colours are to whoever tells them apart worst."""
    coded = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in COLOURS])  # (C, 3)
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    seen = [np.cbrt((linear @ vision.T).clip(0, 1) @ _CONES.T) @ _OPPONENTS.T for vision in _VISIONS]
    return np.min([np.linalg.norm(one[:, None] - one[None], axis=-1) for one in seen], axis=0)
