"""A parcel that zstd has compressed, read; and what this environment makes of the same lines."""

import sys
from pathlib import Path

from tagstream.errors import MissingPackage
from tagstream.topics import Message, Parcel, Place, outgoing, unpack

packed, lines = Path("packed").read_bytes(), Path("lines").read_bytes()
parcel = Parcel("u", Place.of(0), lines)
made = outgoing(parcel)
attributes = {name: value for name, value in made.attributes.items() if name not in {"parcel-bz2", "parcel-zstd"}}
try:
    read = unpack(Message(id="m", receipt="r", body="", attributes=attributes | {"parcel-zstd": packed}))
except MissingPackage as error:
    assert "parcel-bz2" in made.attributes
    sys.exit(str(error))
assert read == parcel
assert "parcel-zstd" in made.attributes
assert unpack(Message(id="m", receipt="r", body=made.body, attributes=made.attributes)) == parcel
