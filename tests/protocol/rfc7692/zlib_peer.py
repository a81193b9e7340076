#!/usr/bin/env python3
"""The other side of the differential test of permessage-deflate: Python's zlib, asked over standard input and output.

A question is a letter, a length of four bytes, and as many bytes; an answer is a length and bytes.
"""

import random
import struct
import sys
import zlib

TAIL = b"\x00\x00\xff\xff"


class Peer:
    """Compresses and inflates as one end of a connection does."""

    def __init__(self, sender_keeps, sender_bits, keeps, bits, level):
        self.sender_keeps, self.sender_bits = sender_keeps, sender_bits
        self.keeps, self.bits, self.level = keeps, bits, level
        self.inflater = self.deflater = None

    def inflate(self, payload):
        # The window that was agreed on: a reference to something farther back is an error.
        if self.inflater is None or not self.sender_keeps:
            self.inflater = zlib.decompressobj(wbits=-self.sender_bits)
        message = self.inflater.decompress(payload + TAIL)
        assert not self.inflater.unconsumed_tail and not self.inflater.unused_data and not self.inflater.eof
        return message

    def deflate(self, message):
        if self.deflater is None or not self.keeps:
            strategy = random.choice([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE])
            self.deflater = zlib.compressobj(self.level, zlib.DEFLATED, -self.bits, random.randint(1, 9), strategy)
        payload = b""
        for piece in pieces(message):
            payload += self.deflater.compress(piece)
            payload += self.deflater.flush(random.choice([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH]))
        if not payload:
            return b"\x00"
        assert payload.endswith(TAIL)
        return payload[:-4]


def pieces(message):
    """Cuts a message now and then: a sender may flush where it likes."""
    if random.random() < 0.8 or not message:
        return [message]
    at = random.randrange(len(message))
    return [piece for piece in (message[:at], message[at:]) if piece]


def main():
    random.seed(7692)
    peer = None
    while True:
        head = sys.stdin.buffer.read(5)
        if len(head) < 5:
            return
        what, length = head[:1], struct.unpack(">I", head[1:])[0]
        data = sys.stdin.buffer.read(length)
        if what == b"n":
            peer, answer = Peer(*data), b""
        else:
            answer = peer.inflate(data) if what == b"i" else peer.deflate(data)
        sys.stdout.buffer.write(struct.pack(">I", len(answer)) + answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
