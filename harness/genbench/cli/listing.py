"""The body of `models`, `datasets` and `metrics`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from genbench.cli.common import print_json, print_list
from genbench.plugins.catalogue import Catalogue, Offer


def print_offers(what: str, plugins: tuple[str, ...], as_json: bool) -> None:
    """Print what was found of `what` (`"models"`, `"datasets"`, `"metrics"`), and from where; what two
    plugins claim stands under the names by which each can be asked for."""
    offers: dict[str, Offer[Any]] = getattr(Catalogue.find(plugins), what)
    if as_json:
        print_json(
            [
                asdict(offer.entry) | {"plugin": offer.plugin.name, "from": _origin(offer), "ask_for": name}
                for name, offer in offers.items()
            ]
        )
        return
    family = what == "models"
    columns = [what[:-1], *(["family"] if family else []), "summary", "reference", "from"]
    rows = [
        [
            name,
            *([offer.entry.family] if family else []),
            offer.entry.summary if name == offer.entry.name else f"(claimed twice) {offer.entry.summary}",
            offer.entry.reference,
            _origin(offer),
        ]
        for name, offer in offers.items()
    ]
    print_list(f"{len(offers)} {what}", columns, rows)


def _origin(offer: Offer[Any]) -> str:
    return f"{offer.plugin.source} {offer.plugin.version}"
