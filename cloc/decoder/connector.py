"""From the patches of an encoder to the stream of a decoder."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cloc.decoder.rms_norm import RMSNorm
from cloc.errors import UserError
from cloc.heads.shared.places import encode, patch_centres

KINDS = ("linear", "mlp")
NORMS = ("none", "rms_clip", "layernorm")
KEY = "decoder.connector"


class Connector(nn.Module):
    """`linear`, or two layers with GELU between (`mlp`, LLaVA-1.5), and then a `norm`.

    Patches behind a connector may be a thousand times as long as words, and then their positions,
    which turn what attention adds to them, hardly move them (arXiv 2503.17349). `rms_clip` is that
    paper's repair: RMSNorm, cut to `longest`, times `mean`. Both are measured of the decoder's own
    words by `listen`, 0.83 and 1.22 of Vicuna-7B's; a width of some tens or more brings every patch
    to `longest` times `mean`, and the weights of RMSNorm change directions alone. `layernorm` is
    the sibling of arXiv 2512.08374, whose weights begin at the length of a mean word.

    `places` adds to each patch where its centre lies, in the waves by which the Prompter tells a
    box: an encoder whose Prompter has them need not carry places to its last block.
    """

    mean: Tensor
    longest: Tensor

    def __init__(
        self,
        encoder_width: int,
        width: int,
        *,
        kind: str = "mlp",
        norm: str = "none",
        places: bool = False,
    ) -> None:
        super().__init__()
        for name, value, known in (("kind", kind, KINDS), ("norm", norm, NORMS)):
            if value not in known:
                raise UserError(f"{KEY}.{name}={value}; choose {', '.join(known)}")
        if places and encoder_width % 4:
            raise UserError(
                f"{KEY}.places=true needs patches of a multiple of 4 channels, and the encoder has "
                f"{encoder_width}; leave it out"
            )
        self.encoder_width, self.places = encoder_width, places
        first = nn.Linear(encoder_width, width)
        self.project = (
            first if kind == "linear" else nn.Sequential(first, nn.GELU(), nn.Linear(width, width))
        )
        norms = {"none": nn.Identity, "rms_clip": RMSNorm, "layernorm": nn.LayerNorm}
        self.kind, self.norm = norm, norms[norm]() if norm == "none" else norms[norm](width)
        self.register_buffer("mean", torch.ones(()))
        self.register_buffer("longest", torch.full((), torch.inf))

    @torch.no_grad()
    def listen(self, words: Float[Tensor, "v w"]) -> None:
        """Measures how long the decoder's words are, mean and most."""
        lengths = words.float().norm(dim=1)
        self.mean.copy_(lengths.mean())
        self.longest.copy_(lengths.max())
        if self.kind == "layernorm":
            self.norm.weight.fill_(float(self.mean) / words.shape[1] ** 0.5)

    def forward(
        self, patches: Float[Tensor, "b p e"], grid: tuple[int, int]
    ) -> Float[Tensor, "b p w"]:
        """`grid` are the rows and columns of the patches."""
        if self.places:
            own = encode(patch_centres(grid, patches.device), self.encoder_width // 4)
            patches = patches + own.to(patches.dtype)
        found: Tensor = self.norm(self.project(patches))
        if self.kind != "rms_clip":
            return found
        lengths = found.float().norm(dim=-1, keepdim=True)
        return (found * (self.longest / lengths).clamp(max=1) * self.mean).to(found.dtype)
