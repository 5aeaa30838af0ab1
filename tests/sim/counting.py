"""What /metrics says of a world."""

from sipcore.metrics import Family
from sipcore.views import Views
from tests.sim.world import World


async def counts(here: World) -> dict[str, float]:
    """Return every sample: {'sipcore_slots{kind=carrier}': 1.0, …}."""
    families: list[Family] = await Views(here.node, here.store, here.folder, 5.0).metrics("")
    return {
        f"{one.name}{{{','.join(f'{k}={v}' for k, v in one.labels.items())}}}": one.value
        for family in families
        for one in family.samples
    }
