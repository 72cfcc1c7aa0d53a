"""The stored form of a design: a folder with ``design.json`` and ``weights.npz``, or one npz archive."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.features import FeatureTypes, features_from_json, features_to_json
from hwnas_hls.system.files import write_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas_hls.network.design import Design

DESIGN_SCHEMA = 1
#: Maximum file size: 30 million 64-bit weights, far more than fits any part.
_MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Content:
    """What was read: the description of a design and its arrays by name; nothing is checked yet."""

    description: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def architecture(self) -> Architecture:
        return Architecture.from_json(self.description["architecture"])

    @property
    def digest(self) -> str:
        """The digest of the design that was written."""
        return str(self.description["digest"])

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(self.description["features"])

    @property
    def feature_types(self) -> FeatureTypes:
        return features_from_json(self.description.get("feature_types", ()))

    @property
    def neuron_types(self) -> tuple[FeatureTypes, ...]:
        return tuple(map(features_from_json, self.description.get("neuron_types", ())))

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.description["labels"])

    @property
    def meta(self) -> Mapping[str, Any]:
        meta: Mapping[str, Any] = self.description["meta"]
        return meta

    def integers(self, what: str) -> tuple[NDArray[np.int64] | None, ...]:
        """The arrays ``weight`` or ``bias``, one per layer; ``None`` where a layer has none."""
        import numpy as np

        names = [f"{what}{number}" for number in range(len(self.description["architecture"]["layers"]))]
        return tuple(self.arrays[name].astype(np.int64) if name in self.arrays else None for name in names)


def save(design: Design, folder: Path) -> None:
    """Write ``design.json`` and ``weights.npz`` into ``folder``."""
    import numpy as np

    text = json.dumps(_description(design), indent=2, allow_nan=False) + "\n"
    arrays = io.BytesIO()
    np.savez(arrays, **_arrays(design))
    # Atomic writes: a killed run leaves no partial file.
    for name, data in (("weights.npz", arrays.getvalue()), ("design.json", text.encode())):
        write_bytes(folder / name, data)


def packed(design: Design) -> bytes:
    """An npz archive whose entry ``description`` is the JSON text; integers in their narrowest type."""
    import numpy as np

    text = json.dumps(_description(design), allow_nan=False).encode()
    arrays = {
        name: array.astype(np.min_scalar_type(-int(np.abs(array).max(initial=0)) - 1))
        if np.issubdtype(array.dtype, np.integer)
        else array
        for name, array in _arrays(design).items()
    }
    buffer = io.BytesIO()
    np.savez(buffer, description=np.frombuffer(text, np.uint8), **arrays)
    return buffer.getvalue()


def unpacked(data: bytes) -> Content:
    """The inverse of :func:`packed`."""
    import numpy as np

    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return Content(json.loads(arrays.pop("description").tobytes()), arrays)


def read(folder: Path) -> Content:
    """The files that :func:`save` wrote.

    Raises:
        UserError: a file is missing or unreadable, or has another schema.
    """
    path = folder / "design.json"
    try:
        data = json.loads(_limited(path).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            "not a readable design", where=str(path), found=error, kind=ErrorKind.WRONG_FORMAT
        ) from error
    found = data.get("schema") if isinstance(data, dict) else type(data).__name__
    if found != DESIGN_SCHEMA:
        raise UserError(
            "unsupported schema of the design",
            where=str(path),
            found=found,
            choices=[DESIGN_SCHEMA],
            kind=ErrorKind.NEWER_VERSION,
        )
    return Content(data, _read_arrays(folder / "weights.npz"))


@contextmanager
def written_by_this_tool(path: Path) -> Iterator[None]:
    """Turns what a foreign or damaged description causes into a UserError that names the file."""
    try:
        yield
    except UserError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise UserError(
            "not a design written by this tool",
            where=str(path),
            found=f"{type(error).__name__}: {error}",
            kind=ErrorKind.WRONG_FORMAT,
        ) from error


def _description(design: Design) -> dict[str, Any]:
    return {
        "schema": DESIGN_SCHEMA,
        "digest": design.digest(),
        "architecture": design.architecture.to_json(),
        "features": list(design.preprocessing.names) if design.preprocessing else [],
        "labels": list(design.labels),
        "meta": dict(design.meta),
        **own_types_to_json(design),
    }


def own_types_to_json(design: Design) -> dict[str, Any]:
    """``feature_types`` and ``neuron_types``, each only where a design has some."""
    return {
        **({"feature_types": features_to_json(design.features)} if design.features else {}),
        **({"neuron_types": list(map(features_to_json, design.neurons))} if design.neurons else {}),
    }


def _arrays(design: Design) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for name, parts in (("weight", design.weights), ("bias", design.biases)):
        arrays |= {f"{name}{number}": part for number, part in enumerate(parts) if part is not None}
    if design.preprocessing is not None:
        arrays |= {"mean": design.preprocessing.mean, "scale": design.preprocessing.scale}
    return arrays


def _limited(path: Path) -> bytes:
    """The content of a file, if its size is plausible for a design."""
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise ValueError(f"{size:,} bytes; at most {_MAX_BYTES:,} are read")
    return path.read_bytes()


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    import numpy as np

    try:
        data = io.BytesIO(_limited(path))
        with zipfile.ZipFile(data) as archive:
            # Checked before unpacking: a small file must not fill the memory.
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > _MAX_BYTES:
            raise ValueError(f"{unpacked:,} bytes unpacked; at most {_MAX_BYTES:,} are read")
        with np.load(data, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        MemoryError,
        OverflowError,
        RuntimeError,
        SyntaxError,  # from a header that is not a Python literal
        TypeError,
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        zlib.error,
    ) as error:
        raise UserError(
            "the weights cannot be read", where=str(path), found=error, kind=ErrorKind.WRONG_FORMAT
        ) from error
