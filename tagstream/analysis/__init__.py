"""What a photo says besides what it shows: small measurements of the decoded picture and of its EXIF.

Each is an analyser: a module here and a line in :data:`tagstream.analysis.analyse.ANALYSERS` (docs/analysis.md).
"""

from __future__ import annotations

from tagstream.analysis.analyse import ANALYSERS, FIELDS, Analysis, analyse
from tagstream.analysis.analyser import Analyser, Decoded, Photo
from tagstream.analysis.fields import Field

__all__ = ["ANALYSERS", "FIELDS", "Analyser", "Analysis", "Decoded", "Field", "Photo", "analyse"]
