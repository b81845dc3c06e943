"""A gated PixelCNN over a grid of codes (van den Oord et al. 2016, "Conditional Image Generation with PixelCNN
Decoders")."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GatedPixelCNN(nn.Module):
    """P(codes) = Π P(code | the codes above it and to the left of it in its row), over codes `(B, h, w)` in 0 … K-1.

    Two stacks of gated convolutions, so that there is no blind spot: the vertical one sees the rows above a position,
    the horizontal one the codes to the left of it and what the vertical one found. Both see where they are.
    Causality comes from shifting the input by one row and one column, not from masks.
    """

    def __init__(self, size: int, grid: tuple[int, int], width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.grid = grid
        self.embedding = nn.Embedding(size, width)
        self.position = nn.Parameter(0.1 * torch.randn(width, *grid))
        self.layers = nn.ModuleList(GatedLayer(width, dropout) for _ in range(layers))
        self.head = nn.Conv2d(width, size, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, codes: Tensor) -> Tensor:
        """Logits of every code given those before it, `(B, K, h, w)`."""
        seen = self._embed(codes)
        vertical = F.pad(seen, (0, 0, 1, 0))[:, :, :-1] + self.position
        horizontal = F.pad(seen, (1, 0))[..., :-1] + self.position
        for layer in self.layers:
            vertical, horizontal = layer(vertical, horizontal)
        return self._logits(horizontal)

    def log_prob(self, codes: Tensor) -> Tensor:
        """log P(codes), `(B,)`, in nats."""
        return -F.cross_entropy(self(codes), codes, reduction="none").flatten(1).sum(1)

    def sample(self, n: int) -> Tensor:
        """`n` grids of codes `(n, h, w)`, at about the cost of one `forward`: each layer keeps the row above and the
        column to the left that it will need next."""
        height, width = self.grid
        codes = torch.zeros(n, height, width, dtype=torch.long, device=self.position.device)
        blank = self.position.new_zeros(n, len(self.position), 1, 1)
        row = blank.expand(-1, -1, -1, width)
        layers = cast("list[GatedLayer]", list(self.layers))
        rows_above = [row] * len(layers)
        for i in range(height):
            row = (self._embed(codes[:, i - 1 : i]) if i else row) + self.position[:, i : i + 1]
            from_above = []
            for depth, layer in enumerate(layers):
                above, rows_above[depth] = rows_above[depth], row
                row, link = layer.vertical_step(above, row)
                from_above.append(link)
            columns_left = [blank] * len(layers)
            for j in range(width):
                column = self._embed(codes[:, i : i + 1, j - 1 : j]) if j else blank
                column = column + self.position[:, i : i + 1, j : j + 1]
                for depth, layer in enumerate(layers):
                    left, columns_left[depth] = columns_left[depth], column
                    column = layer.horizontal_step(left, column, from_above[depth][..., j : j + 1])
                probabilities = self._logits(column).flatten(1).softmax(1)
                codes[:, i, j] = torch.multinomial(probabilities, 1).squeeze(1)
        return codes

    def _embed(self, codes: Tensor) -> Tensor:
        return self.dropout(self.embedding(codes).permute(0, 3, 1, 2))

    def _logits(self, horizontal: Tensor) -> Tensor:
        return self.head(F.silu(horizontal)).float()


class GatedLayer(nn.Module):
    """One layer of both stacks, with residual connections: `(B, width, h, w)` twice to the same."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.vertical = nn.Conv2d(width, 2 * width, (2, 3))
        self.horizontal = nn.Conv2d(width, 2 * width, (1, 2))
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.project = nn.Conv2d(width, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, vertical: Tensor, horizontal: Tensor) -> tuple[Tensor, Tensor]:
        vertical, link = self._vertical(F.pad(vertical, (1, 1, 1, 0)), vertical)
        return vertical, self._horizontal(F.pad(horizontal, (1, 0)), horizontal, link)

    def vertical_step(self, above: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        """The vertical stack's output and link to the horizontal one for one `row`, given the one `above` it."""
        return self._vertical(F.pad(torch.cat([above, row], dim=2), (1, 1)), row)

    def horizontal_step(self, left: Tensor, column: Tensor, link: Tensor) -> Tensor:
        """The horizontal stack's output at one position, given what is to its `left`."""
        return self._horizontal(torch.cat([left, column], dim=3), column, link)

    def _vertical(self, padded: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        found = self.vertical(padded)
        return skip + gate(found), self.link(found)

    def _horizontal(self, padded: Tensor, skip: Tensor, link: Tensor) -> Tensor:
        return skip + self.dropout(self.project(gate(self.horizontal(padded) + link)))


def gate(x: Tensor) -> Tensor:
    """tanh(a) sigmoid(b), where a and b are the two halves of the channels (equation 2)."""
    a, b = x.chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)
