"""The body of `models`, `datasets` and `metrics`."""

from __future__ import annotations

from dataclasses import asdict

from genbench.cli.common import print_json, print_list
from genbench.plugins.catalogue import Catalogue


def print_offers(what: str, plugins: tuple[str, ...], as_json: bool) -> None:
    """Print what was found of `what` (`"models"`, `"datasets"`, `"metrics"`), and from where."""
    catalogue = Catalogue.find(plugins)
    offers = getattr(catalogue, what)
    if as_json:
        print_json(
            [
                asdict(offer.entry)
                | {"plugin": offer.plugin.name, "from": f"{offer.plugin.source} {offer.plugin.version}"}
                for offer in offers.values()
            ]
        )
        return
    family = what == "models"
    columns = [what[:-1], *(["family"] if family else []), "summary", "reference", "from"]
    print_list(
        f"{len(offers)} {what}",
        columns,
        [
            [
                offer.entry.name,
                *([offer.entry.family] if family else []),
                offer.entry.summary,
                offer.entry.reference,
                f"{offer.plugin.source} {offer.plugin.version}",
            ]
            for offer in offers.values()
        ],
    )
