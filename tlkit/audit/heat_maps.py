"""`HeatMaps`: pictures of where in images a model looked, kept with a run so that pages need no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlkit.errors import refuse_newer
from tlkit.plain_values import from_plain, to_plain

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ImageHeatMap:
    """Where in one image a model looked.

    Attributes:
        explained: the class that the map is for.
        picture: the image as the network gets it, with the map on it: a JPEG, base64; "" where no place counted for it.
    """

    explained: str
    picture: str


@dataclass(frozen=True)
class HeatMaps:
    """Where in images of one split a model looked.

    Attributes:
        method: grad_cam, attention, rollout or occlusion.
        images: by the path of the image in the run's samples.
    """

    method: str
    images: Mapping[str, ImageHeatMap]

    def with_earlier(self, earlier: HeatMaps | None, *, most: int) -> HeatMaps:
        """Return these maps with earlier ones of other images by the same method, at most so many, these first."""
        if earlier is None or earlier.method != self.method:
            return self
        others = {path: one for path, one in earlier.images.items() if path not in self.images}
        return HeatMaps(self.method, dict([*self.images.items(), *others.items()][:most]))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` reads them back."""
        return {"format_version": FORMAT_VERSION, **to_plain(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> HeatMaps:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: a newer tlkit wrote it.
        """
        refuse_newer("These heat maps were", values["format_version"], known=FORMAT_VERSION)
        return from_plain(cls, values)
