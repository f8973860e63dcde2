"""`.n1` files put together by hand, from what filters/format/n1-files.md says."""

import struct
import zlib

HEADER, TRAILER, WIDTHS = 1, 2, 4
OVERHEAD = 19  # bytes beyond the payload, of a recording of some seconds with canonical header


def varint(value):
    encoded = b""
    while value >= 0x80:
        encoded += bytes([value % 0x80 + 0x80])
        value //= 0x80
    return encoded + bytes([value])


def deflate(content):
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(content) + stream.flush()


def part(content):
    return varint(len(content)) + content


def with_crc(content):
    return content + struct.pack("<I", zlib.crc32(content))


def by_hand(
    *payloads, rate=19531, channels=1, samples=0, flags=0, parts=(), version=1, magic=b"\x89N1"
):
    front = magic + bytes([version, flags]) + varint(rate) + varint(channels) + varint(samples)
    return with_crc(front + b"".join(map(part, [*parts, *payloads])))
