"""n1store: neural recordings as compressed datasets that open anywhere.

What is public here is imported on first use, so that the command line starts at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from n1store.version import __version__ as __version__

if TYPE_CHECKING:
    from n1store.bench import benchmark
    from n1store.conversion.convert import convert
    from n1store.errors import N1StoreError
    from n1store.export import export_wavs
    from n1store.implant.synth import synthesize
    from n1store.n1file.container import decode_file, encode_file
    from n1store.n1file.evaluation import evaluate
    from n1store.recording import Recording
    from n1store.session.metadata import NwbMetadata
    from n1store.sources.wav import read_wav
    from n1store.store_kinds import open
    from n1store.study.comparison import compare
    from n1store.verification import verify

__all__ = [
    "N1StoreError",
    "NwbMetadata",
    "Recording",
    "benchmark",
    "compare",
    "convert",
    "decode_file",
    "encode_file",
    "evaluate",
    "export_wavs",
    "open",
    "read_wav",
    "synthesize",
    "verify",
]

_HOMES = {
    "N1StoreError": "errors",
    "NwbMetadata": "session.metadata",
    "Recording": "recording",
    "benchmark": "bench",
    "compare": "study.comparison",
    "convert": "conversion.convert",
    "decode_file": "n1file.container",
    "encode_file": "n1file.container",
    "evaluate": "n1file.evaluation",
    "export_wavs": "export",
    "open": "store_kinds",
    "read_wav": "sources.wav",
    "synthesize": "implant.synth",
    "verify": "verification",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'n1store' has no attribute {name!r}")
    return getattr(import_module(f"n1store.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
