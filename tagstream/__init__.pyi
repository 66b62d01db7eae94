from tagstream.deployed.catalog import Catalog
from tagstream.errors import AwsError, CatalogError, ConfigurationError, QueryError, TagstreamError

__all__ = ["AwsError", "Catalog", "CatalogError", "ConfigurationError", "QueryError", "TagstreamError"]

__version__: str
