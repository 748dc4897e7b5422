"""Is this picture like those that a checkpoint learned from?

A small model answers about any picture, and does not say when it is lost. What can be said honestly
is whether its vision tower sees the picture as it saw its training pictures. The checkpoint keeps
the mean and the shape of the cloud that their features make; the distance of a picture is its
Mahalanobis distance from the middle of that cloud, divided by the square root of the number of
dimensions, so that a picture from the cloud has a distance of about 1.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

Features: TypeAlias = npt.NDArray[np.float32]
"""float[pictures, dim]."""

FILE = "familiarity.safetensors"
"""Where it lies in a checkpoint folder; a folder without it gives no warnings."""

# How far the covariance is moved towards that of a round cloud: it can then always be inverted, and
# directions in which the training pictures hardly differ do not decide alone.
_SHRINKAGE = 0.01


@dataclass(frozen=True, eq=False)
class Familiarity:
    """What the training pictures looked like to the vision tower.

    Args:
        mean: float[dim], of the features, each the mean over the patches of one picture.
        whitening: float[dim, dim], which makes the cloud round, with a spread of 1 in every
            direction.
        threshold: a distance beyond which a picture is called unfamiliar.
        quantile: the part of the training pictures that lies within the threshold.
    """

    mean: npt.NDArray[np.float32]
    whitening: npt.NDArray[np.float32]
    threshold: float
    quantile: float

    @classmethod
    def fit(cls, features: npt.ArrayLike, quantile: float = 0.99) -> Self:
        """Learn it from features of training pictures, float[pictures, dim].

        Raises:
            ValueError: fewer than two pictures, numbers that are not finite, or a quantile outside
                0 to 1.
        """
        cloud = np.asarray(features, dtype=np.float64)
        if cloud.ndim != 2 or len(cloud) < 2:
            raise ValueError(
                f"features of shape {cloud.shape}: expected [pictures, dim], at least 2 pictures"
            )
        if not np.isfinite(cloud).all():
            raise ValueError("features hold numbers that are not finite: check the vision tower")
        if not 0 < quantile < 1:
            raise ValueError(f"quantile = {quantile}: expected between 0 and 1, such as 0.99")
        mean = cloud.mean(axis=0)
        covariance = np.atleast_2d(np.cov(cloud, rowvar=False))
        spread = max(float(np.trace(covariance)) / len(mean), 1e-12)
        shrunk = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * spread * np.eye(len(mean))
        values, vectors = np.linalg.eigh(shrunk)
        whitening = (vectors / np.sqrt(values)).astype(np.float32)
        found = cls(mean.astype(np.float32), whitening, 0.0, quantile)
        threshold = float(np.quantile(found.distances(cloud), quantile))
        return replace(found, threshold=threshold)

    def distances(self, features: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """float[pictures] for float[pictures, dim]: 1 is usual.

        Raises:
            ValueError: features of another tower, with another ``dim``.
        """
        values = np.asarray(features, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.mean):
            raise ValueError(
                f"features of shape {values.shape}: expected [pictures, {len(self.mean)}]; they "
                "must come from the tower whose pictures this was learned from"
            )
        offset = (values - self.mean) @ self.whitening
        distances: npt.NDArray[np.float64] = np.sqrt((offset**2).mean(axis=1))
        return distances

    def warning(self, distance: float, name: str) -> str:
        """What to tell a person about a picture at this distance."""
        return (
            f"this picture is unlike what {name} was trained on: distance {distance:.1f}, "
            f"threshold {self.threshold:.1f}, which {100 * (1 - self.quantile):.3g} % of its own "
            "pictures exceed"
        )

    def save(self, folder: Path | str) -> Path:
        """Write it into a checkpoint folder."""
        path = Path(folder) / FILE
        notes = {"threshold": repr(self.threshold), "quantile": repr(self.quantile)}
        tensors = {"mean": self.mean, "whitening": np.ascontiguousarray(self.whitening)}
        save_file(tensors, path, metadata=notes)
        return path

    @classmethod
    def find(cls, folder: Path | str) -> Self | None:
        """Read it from a checkpoint folder; None where there is none.

        Raises:
            ValueError: the file is damaged.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="numpy") as file:
                notes = file.metadata()
                mean, whitening = file.get_tensor("mean"), file.get_tensor("whitening")
                return cls(mean, whitening, float(notes["threshold"]), float(notes["quantile"]))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} cannot be read ({error}); delete it, or make it again"
            ) from error
