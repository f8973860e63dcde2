"""Read a window of a recording in an NWB file on the web; only its chunks are fetched.

Here the web is a server in this process, which sends parts of files as any web server does.
"""

import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import zarr

from n1store.reference import write_reference


def main(path: str, seconds: str = "0.5") -> None:
    with serve(Path(path)) as server, tempfile.TemporaryDirectory() as folder:
        # Who publishes a file publishes its reference file beside it.
        references = f"{folder}/references.json"
        host, port = server.server_address[:2]
        write_reference(path, references, url=f"http://{host}:{port}/{Path(path).name}")

        options = {"fo": references}
        if int(zarr.__version__.split(".")[0]) >= 3:
            options["remote_options"] = {"asynchronous": True}
        file = zarr.open_group("reference://", mode="r", storage_options=options)
        for name, series in file["acquisition"].groups():
            traces = series["data"]
            rate = series["starting_time"].attrs["rate"]
            before = server.sent
            window = traces[: round(float(seconds) * rate)]
            print(
                f"{name}: {window.shape} of {traces.shape}, first samples {window[:3]}, "
                f"{server.sent - before} of {Path(path).stat().st_size} bytes fetched"
            )


class serve(ThreadingHTTPServer):  # noqa: N801 - used as a function
    """Serve one file on this machine while the context lasts."""

    def __init__(self, path: Path):
        super().__init__(("127.0.0.1", 0), _PartsOfAFile)
        self.path = path
        self.sent = 0

    def __enter__(self) -> "serve":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _PartsOfAFile(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = self.server.path.stat().st_size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = map(int, wanted.groups()) if wanted else (0, size - 1)
        with self.server.path.open("rb") as file:
            file.seek(first)
            content = file.read(last - first + 1)
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.server.sent += len(content)
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass  # one line a request is too much here


if __name__ == "__main__":
    main(*sys.argv[1:])
