"""The simple codecs of filters/core/generic/simple.h, a row each.

From a row follow the numcodecs class (simple.py), that of Zarr format 3 (zarr3.py), that for h5py
and the HDF5 filter (hdf5.py, hdf5_filters.py), and the row of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

from n1store.codecs.spec import Kind, Parameter


@dataclass(frozen=True, kw_only=True)
class SimpleRow:
    """What there is to say of a simple codec.

    Attributes
    ----------
    name : str
        What users and the core call it.
    class_name : str
        The name of its class in each of the modules that have one.
    kind : str
        ``array-array`` for a transform of samples, ``bytes-bytes`` for a coder.
    group, summary : str
        As in the catalogue.
    filter_id : int
        The id of its HDF5 filter, never reused.
    parameter : Parameter, optional
        Of a transform, and an integer; coders have none.
    meaning : str
        What the parameter says.
    """

    name: str
    class_name: str
    kind: Kind
    group: str
    summary: str
    filter_id: int
    parameter: Parameter | None = None
    meaning: str = ""

    @property
    def codec_id(self) -> str:
        """Its id in numcodecs and in Zarr format 3."""
        return f"n1store.{self.name}"

    @property
    def docstring(self) -> str:
        """The text of its numcodecs class."""
        text = f"{self.summary[0].upper()}{self.summary[1:]}.\n"
        if self.parameter is None:
            return text
        default = self.parameter.default
        values = f"{self.parameter.low} to {self.parameter.high}, by default {default}"
        return (
            f"{text}\n    Parameters\n    ----------\n    {self.parameter.name} : int\n"
            f"        {self.meaning}; {values}.\n"
        )


SIMPLE_CODECS = (
    SimpleRow(
        name="delta",
        class_name="Delta",
        kind="array-array",
        group="predictive",
        summary="each sample minus the one before it in its channel; once, or twice in a row",
        filter_id=52789,
        parameter=Parameter("order", 1, 1, 2),
        meaning="How often; 2 is for differences of the differences",
    ),
    SimpleRow(
        name="lpc",
        class_name="LPC",
        kind="array-array",
        group="predictive",
        summary=(
            "each sample minus its linear prediction, fitted to the channel, in converter steps"
        ),
        filter_id=52790,
        parameter=Parameter("order", 8, 1, 32),
        meaning="Samples that a prediction is made from",
    ),
    SimpleRow(
        name="iwt",
        class_name="IWT",
        kind="array-array",
        group="transform",
        summary="the reversible 5/3 integer wavelet of JPEG 2000, along time, in converter steps",
        filter_id=52791,
        parameter=Parameter("levels", 8, 1, 8),
        meaning="How often; each time the smooth half is transformed again",
    ),
    SimpleRow(
        name="huffman",
        class_name="Huffman",
        kind="bytes-bytes",
        group="entropy",
        summary="canonical Huffman codes of 16-bit numbers or pairs of them, in blocks with tables",
        filter_id=52794,
    ),
    SimpleRow(
        name="arithmetic",
        class_name="Arithmetic",
        kind="bytes-bytes",
        group="entropy",
        summary=(
            "adaptive arithmetic coding, by range coders that learn one or two tables as they go"
        ),
        filter_id=52795,
    ),
    SimpleRow(
        name="rans",
        class_name="RANS",
        kind="bytes-bytes",
        group="entropy",
        summary=(
            "range asymmetric numeral systems (rANS), in blocks with tables of the numbers' shares"
        ),
        filter_id=52796,
    ),
    SimpleRow(
        name="packbits10",
        class_name="PackBits10",
        kind="bytes-bytes",
        group="entropy",
        summary="numbers from -512 to 511, such as the converter's codes, in 10 bits each",
        filter_id=52793,
    ),
    SimpleRow(
        name="rle",
        class_name="RLE",
        kind="bytes-bytes",
        group="run-length",
        summary="runs of the same 16-bit number, each as its length and the number",
        filter_id=52792,
    ),
)
