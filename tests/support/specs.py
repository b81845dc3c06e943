"""A run as planning describes it, for tests of what comes after."""

from dataclasses import replace

from genbench.plan.spec import RunSpec
from genbench.results.schema import Spec

CPU = {"cpu": "x", "threads": 1}


def run_spec(**changes):
    """A VAE on digits; the protocol follows what is changed unless it is given."""
    run = RunSpec(
        model="vae",
        family="vae",
        label="vae",
        config={"latent_dim": 2},
        target="their_vae:VAE",
        plugin=("their-package", "1.0"),
        source="0123456789ab",
        dataset="digits",
        data="digits",
        dataset_config={},
        dataset_target="digits:Digits",
        view={},
        fingerprint="f" * 16,
        budget="20steps",
        seed=0,
        precision="fp32",
        device="cpu",
        select="best",
        metrics={},
        metric_targets={},
        protocol={},
        metric_protocols={},
        hardware=CPU,
    )
    run = replace(run, **changes)
    protocol = {name: getattr(run, name) for name in ("dataset", "view", "fingerprint", "budget")}
    return replace(run, protocol=changes.get("protocol", protocol))


def record_spec(**changes):
    """The same, as a record has it."""
    run = run_spec(**changes)
    return Spec(**{name: getattr(run, name) for name in Spec.model_fields})
