"""The protocol core of `websockets`, changed by the rules for frames in which Sockeye differs on purpose.

The table in docs/conformance.md explains each rule. A difference is accepted only if `websockets` has exactly the
results of Sockeye with these rules.
"""

import codecs
import itertools
import zlib

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import CLOSING

from reference import Client, Collecting, Server
from streams import CLOSE, CONTINUATION, MAX_MESSAGE, PING, SERVER, TAIL, TEXT, masked

MAX_EMPTY_FRAGMENTS = 1024
HEADROOM = MAX_MESSAGE // 8 + 64
# Sockeye decompresses in steps of this many bytes.
MAX_INPUT = 16 * 1024
MAX_OUTPUT = 32 * 1024

SHORTEST_LENGTH = "shortest-length"
LENGTH_SIGN = "length-sign-bit"
HEADER_FIRST = "header-first"
TEXT_AT_ONCE = "text-at-once"
PAYLOAD_STEPS = "payload-in-steps"
CODE_FIRST = "close-code-first"
CLOSE_IN_MESSAGE = "close-in-message"
CONTROL_NOT_COUNTED = "control-not-counted"
COMPRESSED_LIMIT = "compressed-limit"
EMPTY_FRAGMENTS = "empty-fragments"
AFTER_OUR_CLOSE = "after-our-close"
FINAL_BLOCK = "final-block"
EMPTY_PAYLOAD = "empty-compressed-payload"
LARGER_WINDOW = "larger-window"

FRAME_RULES = [
    SHORTEST_LENGTH, LENGTH_SIGN, HEADER_FIRST, TEXT_AT_ONCE, PAYLOAD_STEPS, CODE_FIRST, CLOSE_IN_MESSAGE,
    CONTROL_NOT_COUNTED, COMPRESSED_LIMIT, EMPTY_FRAGMENTS, AFTER_OUR_CLOSE, FINAL_BLOCK, EMPTY_PAYLOAD, LARGER_WINDOW,
]


class TooManyFragments(Exception):
    pass


class Amended(Collecting):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.applied = set()  # the rules that have made a difference
        self.inflater = None
        self.is_compressed = False
        self.length = 0  # of the message in progress, after decompression
        self.empty_fragments = 0
        self.in_message = False

    def parse(self):
        """Replaces `Protocol.parse`, which `parse` of the server and of the client call after the handshake."""
        try:
            while True:
                if (yield from self.reader.at_eof()):
                    raise EOFError
                frame = yield from self.next_frame()
                if frame is not None:
                    self.recv_frame(frame)
        except ProtocolError:
            self.fail(CloseCode.PROTOCOL_ERROR)
        except EOFError:
            self.fail(CloseCode.ABNORMAL_CLOSURE)
        except UnicodeDecodeError:
            self.fail(CloseCode.INVALID_DATA)
        except PayloadTooBig:
            self.fail(CloseCode.MESSAGE_TOO_BIG)
        except TooManyFragments:
            self.fail(CloseCode.POLICY_VIOLATION)
        yield

    def next_frame(self):
        first, second = yield from self.reader.read_exact(2)
        fin, rsv, opcode = bool(first & 0x80), first & 0x70, first & 0x0F
        is_control = opcode >= 8
        self.check_start(fin, rsv, opcode, second)
        length = second & 0x7F
        if length > 125:
            size = {126: 2, 127: 8}[length]
            length = int.from_bytes((yield from self.reader.read_exact(size)))
            self.check_length(length, size)
        if not is_control:
            self.check_limits(fin, rsv, opcode, length)
        elif self.in_message and length > MAX_MESSAGE - self.length:
            self.applied.add(CONTROL_NOT_COUNTED)
        key = None
        if self.side == SERVER:
            key = bytes((yield from self.reader.read_exact(4)))
        data = yield from self.payload(length, key, rsv, opcode)
        if not is_control:
            self.in_message = not fin
        if self.state is CLOSING and opcode not in (CLOSE, PING):
            # Everything except a Ping and the Close is ignored.
            self.applied.add(AFTER_OUR_CLOSE)
            return None
        if opcode == CLOSE:
            self.check_close(data)
        if not is_control:
            data = self.message_data(data, fin, rsv, opcode)
        return Frame(Opcode(opcode), data, fin)

    def check_start(self, fin, rsv, opcode, second):
        if opcode not in list(Opcode) or bool(second & 0x80) != (self.side == SERVER):
            raise ProtocolError
        allowed = 0x40 if self.extensions and opcode in (TEXT, TEXT + 1) else 0
        breaks = [
            rsv & ~allowed,
            opcode >= 8 and (not fin or second & 0x7F > 125),
            opcode == CONTINUATION and not self.in_message,
            opcode in (TEXT, TEXT + 1) and self.in_message,
        ]
        if any(breaks):
            self.applied.add(HEADER_FIRST)
            raise ProtocolError

    def check_length(self, length, size):
        if length < (126 if size == 2 else 2**16):
            self.applied.add(SHORTEST_LENGTH)
            raise ProtocolError
        if length >= 2**63:
            self.applied.add(LENGTH_SIGN)
            raise ProtocolError

    def check_limits(self, fin, rsv, opcode, length):
        room = MAX_MESSAGE - (self.length if opcode == CONTINUATION else 0)
        if length > room:
            is_compressed = rsv & 0x40 or (opcode == CONTINUATION and self.is_compressed)
            if not is_compressed or length > room + HEADROOM:
                raise PayloadTooBig(length, room)
            self.applied.add(COMPRESSED_LIMIT)
        if opcode != CONTINUATION:
            self.empty_fragments = 0
        if self.state is not CLOSING and not length and (not fin or opcode == CONTINUATION):
            self.empty_fragments += 1
            if self.empty_fragments > MAX_EMPTY_FRAGMENTS:
                self.applied.add(EMPTY_FRAGMENTS)
                raise TooManyFragments

    def payload(self, length, key, rsv, opcode):
        """Reads a payload. Text is validated as it arrives."""
        is_compressed = rsv or (opcode == CONTINUATION and self.is_compressed)
        decoder = None if is_compressed or self.state is CLOSING else self.text_decoder(opcode)
        data = b""
        while len(data) < length:
            while not self.reader.buffer:
                if self.reader.eof:
                    raise EOFError
                yield
            piece = yield from self.reader.read_exact(min(length - len(data), len(self.reader.buffer)))
            piece = masked(bytes(piece), key and key[len(data) % 4:] + key[:len(data) % 4])
            data += piece
            if decoder and not decoder.accepts(piece):
                self.applied.add(TEXT_AT_ONCE)
                raise UnicodeDecodeError("utf-8", piece, 0, 1, "invalid")
        return data

    def text_decoder(self, opcode):
        """Returns a decoder for the payload of a frame, if it is text."""
        if opcode == TEXT:
            return TextDecoder(None)
        return TextDecoder(self.utf8) if opcode == CONTINUATION and self.utf8 else None

    def check_close(self, data):
        """Checks the code before the reason, and accepts a Close within a fragmented message."""
        if len(data) > 1:
            try:
                Close(int.from_bytes(data[:2]), "").check()
            except ProtocolError:
                self.applied.add(CODE_FIRST)
                raise
        if self.current_size is not None:
            self.applied.add(CLOSE_IN_MESSAGE)
            Close.parse(data)
            self.current_size = None

    def message_data(self, data, fin, rsv, opcode):
        """Decompresses a fragment, and adds it to the length of its message."""
        if opcode != CONTINUATION:
            self.length, self.is_compressed = 0, bool(rsv)
            if rsv:
                self.begin_compressed()
        if self.is_compressed:
            data = self.decompressed(data, fin, opcode)
        self.length = 0 if fin else self.length + len(data)
        return data

    def decompressed(self, payload, fin, opcode):
        """Decompresses a fragment in steps, and checks the result of each step."""
        decoder, result = self.text_decoder(opcode), b""
        pieces = self.inflater.decompress(payload)
        for piece in itertools.chain(pieces, self.inflater.finish()) if fin else pieces:
            result += piece
            if self.length + len(result) > MAX_MESSAGE:
                raise PayloadTooBig(None, MAX_MESSAGE)
            if decoder and not decoder.accepts(piece):
                self.applied.add(PAYLOAD_STEPS)
                raise UnicodeDecodeError("utf-8", piece, 0, 1, "invalid")
        return result

    def begin_compressed(self):
        extension, = self.extensions
        if self.inflater is None or extension.remote_no_context_takeover:
            self.inflater = Inflater(extension.remote_max_window_bits, self.applied)
        self.inflater.consumed, self.inflater.has_ended = 0, False


class TextDecoder:
    """Validates the part of a text that has arrived, without a change of the decoder of the message."""

    def __init__(self, message):
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        if message is not None:
            self.decoder.setstate(message.getstate())

    def accepts(self, piece):
        try:
            self.decoder.decode(piece)
        except UnicodeDecodeError:
            return False
        # Python waits for the third byte of a surrogate, although it is invalid from the second one on.
        begun, _ = self.decoder.getstate()
        return not (begun[:1] == b"\xed" and begun[1:2] >= b"\xa0")


class Inflater:
    """Decompresses messages. The window has the largest size, and blocks after a final block begin a new stream."""

    def __init__(self, window_bits, applied):
        self.window_bits = window_bits  # those that were negotiated
        self.applied = applied
        self.consumed = 0
        self.begin_stream()

    def begin_stream(self):
        self.stream = zlib.decompressobj(wbits=-15)
        self.narrow = zlib.decompressobj(wbits=-self.window_bits)
        self.has_ended = False

    def decompress(self, data):
        """Yields the message in pieces."""
        self.consumed += len(data)
        while data:
            self.has_ended = False
            try:
                yield self.stream.decompress(data[:MAX_INPUT], MAX_OUTPUT)
            except zlib.error:
                self.applied.add(PAYLOAD_STEPS)
                raise ProtocolError from None
            self.decompress_narrow(data[:MAX_INPUT])
            rest = self.stream.unused_data or self.stream.unconsumed_tail
            if self.stream.eof:
                self.applied.add(FINAL_BLOCK)
                self.begin_stream()
                self.has_ended = True
            data = rest + data[MAX_INPUT:]

    def decompress_narrow(self, data):
        """Finds out whether the negotiated window is too small."""
        try:
            self.narrow.decompress(data[:len(data) - len(self.stream.unused_data or self.stream.unconsumed_tail)])
        except zlib.error:
            self.applied.add(LARGER_WINDOW)

    def finish(self):
        if not self.consumed:
            self.applied.add(EMPTY_PAYLOAD)
        elif not self.has_ended:
            yield from self.decompress(TAIL)


class AmendedServer(Server, Amended):
    pass


class AmendedClient(Client, Amended):
    pass
