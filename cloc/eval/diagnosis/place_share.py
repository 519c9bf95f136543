"""How much of what tokens say is where they lie: the share of variance that place explains."""

from jaxtyping import Float
from torch import Tensor


class PlaceShare:
    """Two-way analysis of variance of the tokens of one layer, place by picture, one token each:
    x = mean + place + picture + rest, with variances summed over channels.

    The mean square of the rest is taken off those of place and picture, which hold it by chance:
    the mean over n pictures at a place still varies by a part of 1 / n of what differs between
    pictures. So shares are right in expectation however few the pictures, and may be below 0.

    It keeps a sum per place and channel, in float64, and no token.
    """

    def __init__(self) -> None:
        self.pictures = 0
        self.sums: Tensor | None = None  # over pictures, of each place
        self.squares = 0.0
        self.of_pictures = 0.0  # squared norm of the mean over places, of each picture, summed

    def add(self, tokens: Float[Tensor, "b p w"]) -> None:
        """Of pictures that have the same places."""
        x = tokens.double()
        sums = x.sum(0).cpu()
        self.sums = sums if self.sums is None else self.sums + sums
        self.squares += float(x.square().sum())
        self.of_pictures += float(x.mean(1).square().sum())
        self.pictures += len(x)

    def figures(self) -> dict[str, float] | None:
        """`place`, `picture` and `rest`, shares that sum to 1. `position_norm` and `content_norm`:
        how long the part of the place is, and that of picture and rest together (root mean square);
        `mean_norm` of what all tokens share. None for a single picture, a single place, or tokens
        that do not vary."""
        if self.sums is None or self.pictures < 2 or len(self.sums) < 2:
            return None
        n, p = self.pictures, len(self.sums)
        grand = float((self.sums.sum(0) / (n * p)).square().sum())
        of_places = float((self.sums / n).square().sum())
        place = n * (of_places - p * grand)
        picture = p * (self.of_pictures - n * grand)
        rest = self.squares - n * p * grand - place - picture
        noise = rest / ((n - 1) * (p - 1))
        parts = {
            "place": (place / (p - 1) - noise) / n,
            "picture": (picture / (n - 1) - noise) / p,
            "rest": noise,
        }
        total = sum(parts.values())
        if not total > 1e-12 * self.squares / (n * p):  # of rounding alone
            return None
        content = parts["picture"] + parts["rest"]
        return {
            **{name: part / total for name, part in parts.items()},
            "position_norm": max(parts["place"], 0.0) ** 0.5,
            "content_norm": max(content, 0.0) ** 0.5,
            "mean_norm": grand**0.5,
        }
