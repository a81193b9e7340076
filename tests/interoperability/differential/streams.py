"""Byte streams that a peer could send: valid ones, and ones with mutations.

A seed and a number determine each stream.
"""

import dataclasses
import random
import zlib

from heads import HEAD_MUTATIONS, encode_head, request, response

SERVER, CLIENT = 0, 1  # the role of the implementation that receives the stream
HANDSHAKE, OPEN, CLOSE_SENT = 0, 1, 2  # where the stream begins
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MAX_MESSAGE = 64 * 1024  # the limit for messages in both implementations
TAIL = b"\x00\x00\xff\xff"

EXTENSIONS = [
    "permessage-deflate",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
    "permessage-deflate; server_max_window_bits=8; client_max_window_bits=12; server_no_context_takeover",
]
CLOSE_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
UNSENDABLE_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65535]
INVALID_TEXT = [
    b"\xff", b"\x80", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
    b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\xf0\x9f\x90", b"\xc3",
    b"\xe2\x28\xa1", b"\xf0\x28\x8c\xbc",
]
ALPHABET = "ab \n\0\x7féß߿ࠀ€\ud7ff\ue000\uffff𐀀🐟\U0010ffff"


@dataclasses.dataclass
class Stream:
    """A byte stream, and the state of the implementation that receives it."""

    role: int
    begin: int
    compresses: bool
    extensions: str  # those of a stream that begins after the handshake
    data: bytes
    is_mutated: bool


@dataclasses.dataclass
class Frame:
    """A frame whose header can contradict its payload."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0
    key: bytes | None = None
    length: int | None = None  # the length in the header, if it is not that of the payload
    length_bytes: int | None = None  # 2 or 8, if it is not the shortest form

    def encode(self):
        length = len(self.payload) if self.length is None else self.length
        size = self.length_bytes
        if size is None or (size == 2 and length > 0xFFFF):
            size = 0 if length < 126 else 2 if length <= 0xFFFF else 8
        first = (self.fin << 7) | self.rsv | self.opcode
        second = ((self.key is not None) << 7) | {0: length, 2: 126, 8: 127}[size]
        header = bytes([first, second]) + (length.to_bytes(size) if size else b"")
        return header + (self.key or b"") + masked(self.payload, self.key)


def masked(payload, key):
    if key is None or not payload:
        return payload
    mask = (key * (len(payload) // 4 + 1))[:len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(len(payload))


def generate(seed, number):
    """Returns the stream with this number."""
    rng = random.Random(f"{seed}/{number}")
    role = rng.randrange(2)
    kind = rng.random()
    if kind < 0.35:
        return handshake(rng, role)
    if kind < 0.37:
        return Stream(role, rng.randrange(3), False, "", rng.randbytes(rng.randrange(40)), True)
    begin = CLOSE_SENT if kind < 0.47 else OPEN
    extensions = rng.choice(EXTENSIONS) if rng.random() < 0.5 else ""
    is_mutated = rng.random() < 0.7
    sender = Sender(rng, role, extensions)
    if is_mutated and "window_bits" in extensions and rng.random() < 0.1:
        data = encode(sender.exceeding_window())
    else:
        data = mutated_frames(rng, sender.frames()) if is_mutated else encode(sender.frames())
    return Stream(role, begin, bool(extensions), extensions, data, is_mutated)


def handshake(rng, role):
    compresses = rng.random() < 0.5
    lines, extensions = (request if role == SERVER else response)(rng, compresses)
    frames = Sender(rng, role, extensions).frames() if rng.random() < 0.7 else []
    is_mutated = rng.random() < 0.75
    head = None
    if is_mutated and rng.random() < 0.8:
        for _ in range(rng.choice([1, 1, 1, 2])):
            if head is None:
                head = rng.choice(HEAD_MUTATIONS)(rng, lines)
    head = encode_head(lines) if head is None else head
    if is_mutated and rng.random() < 0.3:
        head = mutated_bytes(rng, head)
    data = encode(frames)
    if is_mutated and rng.random() < 0.2:
        data = mutated_frames(rng, frames)
    return Stream(role, HANDSHAKE, compresses, "", head + data, is_mutated)


def encode(frames):
    return b"".join(frame.encode() for frame in frames)


class Sender:
    """Creates the frames of a peer that follows the RFCs."""

    def __init__(self, rng, role, extensions):
        self.rng = rng
        self.masks = role == SERVER  # the peer of a server is a client
        own = "client" if role == SERVER else "server"
        parameters = [part.strip() for part in extensions.split(";")]
        self.compresses = bool(extensions)
        self.keeps_context = f"{own}_no_context_takeover" not in parameters
        bits = [part.split("=")[1] for part in parameters if part.startswith(f"{own}_max_window_bits=")]
        # zlib has no compressor for windows of 8 bits.
        self.window_bits = max(9, int(bits[0])) if bits else 15
        self.can_compress = bits != ["8"]
        self.compressor = None

    def exceeding_window(self):
        """Returns messages that refer to earlier ones, which can be beyond the window that was negotiated."""
        self.window_bits, message = 15, self.rng.randbytes(1500)
        return [self.frame(BINARY, self.compressed(message), rsv=0x40) for _ in range(3)]

    def frames(self):
        rng, frames = self.rng, []
        for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 5])):
            kind = rng.random()
            if kind < 0.3:
                frames.append(self.control())
            elif kind < 0.302:
                frames += self.empty_fragments()
            elif kind < 0.304:
                frames += self.longest_message()
            else:
                frames += self.message()
        if rng.random() < 0.5:
            if frames and rng.random() < 0.1:
                del frames[rng.randrange(len(frames)):]  # possibly within a message
            frames.append(self.frame(CLOSE, close_payload(rng)))
            if rng.random() < 0.3:
                frames += self.message()  # must be discarded
        return frames

    def frame(self, opcode, payload, fin=True, rsv=0):
        key = None
        if self.masks:
            key = self.rng.choice([self.rng.randbytes(4), self.rng.randbytes(4), b"\0\0\0\0"])
        return Frame(opcode, payload, fin, rsv, key)

    def control(self):
        size = self.rng.choice([0, 1, 5, 124, 125])
        return self.frame(self.rng.choice([PING, PING, PONG]), self.rng.randbytes(size))

    def empty_fragments(self):
        count = self.rng.choice([1023, 1024, 1025])
        return [self.frame(TEXT, b"", fin=False), *(self.frame(CONTINUATION, b"", fin=False) for _ in range(count)),
                self.frame(CONTINUATION, b"end")]

    def longest_message(self):
        """A message that has, or exceeds, the maximum length, with a control frame before its last fragment."""
        if self.compresses and self.can_compress and self.rng.random() < 0.5:
            # The payload is longer than the message.
            return [self.frame(BINARY, self.compressed(self.rng.randbytes(MAX_MESSAGE)), rsv=0x40), self.control()]
        rest = self.rng.choice([0, 1, 9, 200])
        excess = self.rng.choice([0, 0, 1])
        return [self.frame(BINARY, bytes(MAX_MESSAGE - rest), fin=False), self.control(),
                self.frame(CONTINUATION, bytes(rest + excess))]

    def message(self):
        rng = self.rng
        opcode = rng.choice([TEXT, BINARY])
        payload = text(rng, length(rng)) if opcode == TEXT else binary(rng, length(rng))
        rsv = 0
        if self.compresses and self.can_compress and rng.random() < 0.8:
            rsv = 0x40
            payload = self.compressed(payload)
        count = rng.choice([1, 1, 1, 2, 3, 5])
        cuts = sorted(rng.randrange(len(payload) + 1) for _ in range(count - 1))
        pieces = [payload[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(payload)])]
        frames = []
        for number, piece in enumerate(pieces):
            frames.append(self.frame(CONTINUATION if number else opcode, piece, number == len(pieces) - 1,
                                     0 if number else rsv))
            if number < len(pieces) - 1 and rng.random() < 0.2:
                frames.append(self.control())
        return frames

    def compressed(self, payload):
        """Compresses a message (RFC 7692 §7.2.1), in one of the ways that the RFC allows."""
        rng = self.rng
        if self.compressor is None or not self.keeps_context:
            self.compressor = zlib.compressobj(rng.choice([0, 1, 6, 9]), wbits=-self.window_bits)
        result = b""
        for piece in (payload[:len(payload) // 2], payload[len(payload) // 2:]):
            result += self.compressor.compress(piece)
            if rng.random() < 0.2:
                result += self.compressor.flush(rng.choice([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH]))
        if rng.random() < 0.05:
            # §7.2.3.4: a final block, and then the beginning of the empty block whose end is removed.
            result += self.compressor.flush(zlib.Z_FINISH) + b"\0"
            self.compressor = None
            return result
        result += self.compressor.flush(zlib.Z_SYNC_FLUSH)
        # zlib omits a flush that would add nothing. §7.2.3.6: the payload of an empty message is 0x00.
        return result.removesuffix(TAIL) if result.endswith(TAIL) else result + b"\0"


def length(rng):
    return rng.choice([0, 1, 2, 5, 20, 60, 125, 126, 127, 300, rng.randrange(200),
                       rng.choice([20, 1000, 5000, 65535, MAX_MESSAGE, MAX_MESSAGE + 1]) if rng.random() < 0.05 else 9])


def text(rng, size):
    """Returns UTF-8 of this many bytes."""
    if size > 200:
        return (b"the quick brown fish " * (size // 21 + 1))[:size]
    characters = rng.choice([ALPHABET, "abcdefgh ", "é€🐟"])
    result = "".join(rng.choice(characters) for _ in range(size)).encode()[:size]
    return result.decode(errors="ignore").encode().ljust(size, b"x")


def binary(rng, size):
    return rng.randbytes(min(size, 500)).ljust(size, rng.choice([b"\0", b"x"]))


def close_payload(rng):
    if rng.random() < 0.15:
        return b""
    reason = text(rng, rng.choice([0, 0, 3, 20, 123]))
    return rng.choice(CLOSE_CODES).to_bytes(2, "big") + reason


# Mutations of frames, before they are encoded.

def change_opcode(rng, frame):
    frame.opcode = rng.randrange(16)


def change_fin(rng, frame):
    frame.fin = not frame.fin


def change_rsv(rng, frame):
    frame.rsv ^= rng.choice([0x40, 0x40, 0x20, 0x10, 0x70])


def change_mask(rng, frame):
    frame.key = rng.randbytes(4) if frame.key is None else None


def change_length(rng, frame):
    size = len(frame.payload)
    frame.length = rng.choice([0, max(0, size - 1), size + 1, size + 100, 125, 126, 127, 65535, 65536, MAX_MESSAGE + 1,
                               2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1, rng.randrange(2**64)])


def change_length_form(rng, frame):
    frame.length_bytes = rng.choice([2, 8])


def lengthen_control(rng, frame):
    frame.opcode = rng.choice([CLOSE, PING, PONG])
    frame.payload = (b"\x03\xe8" + b"x" * 200)[:rng.choice([126, 127, 130])]


def invalidate_text(rng, frame):
    at = rng.randrange(len(frame.payload) + 1)
    frame.payload = frame.payload[:at] + rng.choice(INVALID_TEXT) + frame.payload[at:]


def become_text(rng, frame):
    frame.opcode = TEXT
    invalidate_text(rng, frame)


def become_close(rng, frame):
    code = rng.choice([*UNSENDABLE_CODES, rng.randrange(65536), *CLOSE_CODES]).to_bytes(2, "big")
    frame.opcode, frame.rsv, frame.fin = CLOSE, 0, True
    frame.payload = rng.choice([code, code, code + b"why", code + rng.choice(INVALID_TEXT), code[:1], b""])


def damage_payload(rng, frame):
    frame.payload = mutated_bytes(rng, frame.payload)


def empty_compressed(rng, frame):
    frame.opcode, frame.rsv, frame.fin, frame.payload = rng.choice([TEXT, BINARY]), 0x40, True, b""


FRAME_MUTATIONS = [
    change_opcode, change_fin, change_rsv, change_mask, change_length, change_length_form, lengthen_control,
    invalidate_text, become_text, become_close, become_close, damage_payload, empty_compressed,
]


def mutated_frames(rng, frames):
    frames = [dataclasses.replace(frame) for frame in frames]
    kind = rng.random()
    if frames and kind < 0.65:
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            rng.choice(FRAME_MUTATIONS)(rng, rng.choice(frames))
    elif frames and kind < 0.8:
        at = rng.randrange(len(frames))
        rng.choice([lambda: frames.pop(at), lambda: frames.insert(at, frames[rng.randrange(len(frames))]),
                    lambda: rng.shuffle(frames)])()
    data = encode(frames)
    return mutated_bytes(rng, data) if kind > 0.75 or rng.random() < 0.15 else data


def mutated_bytes(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0 | 1 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 2 if at < len(data):
                data[at] = rng.choice([0, 0xFF, 0x80, 0x7F, rng.randrange(256)])
            case 3:
                del data[at:at + rng.choice([1, 1, 2, 4])]
            case 4:
                data[at:at] = rng.randbytes(rng.choice([1, 1, 2, 4]))
            case _:
                del data[at:]
    return bytes(data)
