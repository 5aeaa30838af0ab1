"""Where the configuration and the store meet: what provisioning depends on, of a configuration."""

from sipcore.config import Config
from sipcore.numbering import Home
from sipcore.store.rows import Site


def site_of(config: Config) -> Site:
    """Return what the store needs to know of a configuration."""
    node = config.node
    return Site(Home(node.country, node.area), node.hotline, node.realm)
