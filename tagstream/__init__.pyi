from tagstream.classifier import run_image_recognition
from tagstream.deployed.catalog import Catalog
from tagstream.errors import (
    AwsError,
    CatalogError,
    ConfigurationError,
    ImageRejected,
    MissingPackage,
    ModelError,
    QueryError,
    TagstreamError,
)

__all__ = [
    "AwsError",
    "Catalog",
    "CatalogError",
    "ConfigurationError",
    "ImageRejected",
    "MissingPackage",
    "ModelError",
    "QueryError",
    "TagstreamError",
    "run_image_recognition",
]

__version__: str
