"""What a row of the catalogue is: the parameters of a codec, where its class is, what it does."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from numcodecs.abc import Codec

from n1store.errors import N1StoreError, NotHereError

Kind = Literal["array-array", "array-bytes", "bytes-bytes"]

Configuration = dict[str, Any]
"""A numcodecs codec as JSON has it: its id and its settings."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a codec: a number in a range, one of several words, or a file's content.

    Numbers are integers, unless `low` or `high` is a float.

    The content of a file is given as the file's path, or as text, which is what `content` makes
    of the path and what matches `pattern`: so the string of a pipeline can do without the file.
    """

    name: str
    default: int | str | None
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    content: Callable[[str], str] | None = None
    pattern: str = ""

    @property
    def values(self) -> str:
        """The values that it takes, in words."""
        if self.content is not None:
            return "a file"
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        kind = "an integer" if self.is_integer else "a number"
        return f"{kind} from {self.low} to {self.high}"

    @property
    def is_integer(self) -> bool:
        """Whether it is a number without decimals."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def range(self) -> range:
        """The values of an integer."""
        return range(int(self.low), int(self.high) + 1)

    def parse(self, text: str, read_files: bool = True) -> float | str:
        """Return the value that `text` stands for; ValueError says what would be valid."""
        if self.content is not None:
            if re.fullmatch(self.pattern, text):
                return text
            if text and read_files:
                return self.content(text)
        elif self.choices:
            if text in self.choices:
                return text
        elif re.fullmatch(
            "-?[0-9]{1,9}" if self.is_integer else "[0-9]{1,4}([.][0-9]{1,4})?", text
        ):
            value = int(text) if self.is_integer else float(text)
            if self.low <= value <= self.high:
                return value
        raise ValueError(f"{self.name} is {self.values}")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of the catalogue.

    Attributes
    ----------
    name : str
        What users call it.
    codec_id : str
        The id of its numcodecs codec, by which stores name it.
    group, summary : str
        The family it belongs to, and one line on how it works.
    kind : str
        What it turns into what; a pipeline's stages must fit together.
    home : str
        ``module:class`` of its numcodecs codec, imported when it is used.
    parameters : tuple of Parameter
        What users may set.
    arguments : callable
        From the parameters' values to the arguments of the numcodecs codec.
    settings : dict
        Arguments that the numcodecs codec of n1store takes beside the parameters, and which
        have other values than these defaults in the stores of others only.
    zarr3 : callable, optional
        From the numcodecs codec's configuration to the metadata of Zarr format 3, where these
        are not simply the id and the settings.
    hdf5 : str
        The name of its HDF5 filter, as `n1store.codecs.hdf5_filters` has it; empty where HDF5
        has no such filter.
    hdf5_home : str
        ``module:class`` of the numcodecs codec whose bytes the HDF5 filter reads, and which is
        made from the configuration of the one at `home`; only where these bytes differ.
    read_with : callable, optional
        From the numcodecs codec's configuration to that of another one, which decodes the same
        bytes and which more readers have; it is what Zarr arrays name.
    packages : tuple of str
        What those who read such chunks must have installed beside zarr.
    install : str
        The command to run where `home` cannot be imported.
    maps : bool
        Whether it maps samples to the converter's codes itself, so that `adc` is not needed.
    checks : bool
        Whether it raises an error for any changed bit, so that no checksum is needed.
    in_parts : bool
        Whether a part of a chunk is decoded without the rest.
    loses_with : str
        The parameter, not set by default, with which samples come back changed.
    """

    name: str
    codec_id: str
    group: str
    summary: str
    kind: Kind
    home: str
    parameters: tuple[Parameter, ...] = ()
    arguments: Callable[..., dict[str, Any]] = dict
    settings: Mapping[str, Any] = field(default_factory=dict)
    zarr3: Callable[[Configuration], dict[str, Any]] | None = None
    hdf5: str = ""
    hdf5_home: str = ""
    read_with: Callable[[Configuration], Configuration] | None = None
    packages: tuple[str, ...] = ()
    install: str = "pip install --force-reinstall n1store"
    maps: bool = False
    checks: bool = False
    in_parts: bool = False
    loses_with: str = ""

    @property
    def stands_in_front(self) -> bool:
        """Whether it makes nothing smaller by itself, but what stands behind it better at that."""
        return self.kind == "array-array" or self.group == "filter"

    def build(self, **values: float | str) -> Codec:
        """Return the numcodecs codec for these values of the parameters."""
        defaults = {parameter.name: parameter.default for parameter in self.parameters}
        return self._class(self.home)(**self.arguments(**(defaults | values)))

    def codec(self, configuration: Configuration) -> Codec:
        """Return the numcodecs codec of a configuration."""
        return self._class(self.home).from_config(_without_id(configuration))

    def for_hdf5(self, codec: Codec) -> Codec:
        """Return the codec whose bytes the HDF5 filter reads."""
        if not self.hdf5_home:
            return codec
        return self._class(self.hdf5_home).from_config(_without_id(codec.get_config()))

    def _class(self, home: str) -> Any:
        module, _, name = home.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, OSError) as error:
            raise NotHereError(
                f"codec {self.name} is not available here ({error}); to install it: {self.install}"
            ) from error

    def parse_parameters(self, text: str, read_files: bool = True) -> dict[str, float | str]:
        """Return the values in ``name=value,name=value``; N1StoreError for a wrong one."""
        known = {parameter.name: parameter for parameter in self.parameters}
        values: dict[str, float | str] = {}
        for assignment in text.split(",") if text else ():
            name, _, value = (part.strip() for part in assignment.partition("="))
            if name in values:
                raise N1StoreError(f"codec {self.name} is given {name} twice")
            if name not in known:
                valid = f"its parameters are {', '.join(known)}" if known else "it takes none"
                raise N1StoreError(f"codec {self.name} has no parameter {name!r}; {valid}")
            try:
                values[name] = known[name].parse(value, read_files)
            except ValueError as error:
                raise N1StoreError(f"codec {self.name}: {error}, not {value!r}") from None
        return values

    def zarr2_metadata(self, codec: Codec) -> Configuration:
        """Return what a Zarr format 2 array says of this codec."""
        configuration = dict(codec.get_config())
        return self.read_with(configuration) if self.read_with else configuration

    def zarr3_metadata(self, codec: Codec) -> dict[str, Any]:
        """Return what a Zarr format 3 array says of this codec."""
        configuration = self.zarr2_metadata(codec)
        if self.zarr3 is not None:
            return self.zarr3(configuration)
        codec_id = configuration["id"]
        # n1store registers its codecs by their ids, numcodecs with its own name in front.
        name = codec_id if codec_id.startswith("n1store.") else f"numcodecs.{codec_id}"
        return {"name": name, "configuration": _without_id(configuration)}


def _without_id(configuration: Configuration) -> dict[str, Any]:
    return {name: value for name, value in configuration.items() if name != "id"}
