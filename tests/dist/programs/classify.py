"""A photo is classified, whatever it is given as, by the model that was installed along."""

import sys
from pathlib import Path

import tagstream

photo = sys.argv[1]
scores: dict[str, float] = tagstream.run_image_recognition(photo)
assert len(scores) == 1000
assert abs(sum(scores.values()) - 1) < 1e-6
assert max(scores, key=lambda tag: scores[tag]) == "drum", sorted(scores, key=lambda tag: -scores[tag])[:5]
assert tagstream.run_image_recognition(Path(photo)) == scores
assert tagstream.run_image_recognition(Path(photo).read_bytes()) == scores
with open(photo, "rb") as file:
    assert tagstream.run_image_recognition(file) == scores

try:
    tagstream.run_image_recognition(b"no photo")
except tagstream.ImageRejected as error:
    assert "no image" in error.reason
else:
    raise SystemExit("that was no photo")
# The other default of the two was installed as well.
by_name = {
    name: tagstream.run_image_recognition(photo, model=name)
    for name in ("efficientnet-lite0", "efficientnet-lite2-int8")
}
assert [max(each, key=lambda tag: each[tag]) for each in by_name.values()] == ["drum", "drum"]
assert scores in by_name.values()

try:
    tagstream.run_image_recognition(photo, model="efficientnet-lite2")
except tagstream.ModelError as model_error:
    assert "pip install 'tagstream[cli,models]'" in str(model_error), model_error
else:
    raise SystemExit("that model has not been built")
