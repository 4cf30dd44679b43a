"""What the tests of several machines share; they are run by themselves, in an environment that has Ray."""

from tests.scale.engines import asking, cluster, nobody

__all__ = ["asking", "cluster", "nobody"]
