"""A deployed stage is asked."""

import tagstream

catalog = tagstream.Catalog(stage="dev")
assert [image["key"] for image in catalog.search("drum", limit=1)] == ["drum.jpg"]
try:
    tagstream.Catalog(stage="prod").search("drum")
except tagstream.TagstreamError as error:
    assert "tagstream-prod-search is not deployed" in str(error), error
else:
    raise SystemExit("there is no such stage")
