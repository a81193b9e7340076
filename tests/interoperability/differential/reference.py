"""Passes streams to the protocol core of `websockets`, with and without the rules of rules.py."""

import codecs
import logging

import websockets.http11
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory, PerMessageDeflate, ServerPerMessageDeflateFactory)
from websockets.frames import Opcode
from websockets.protocol import CONNECTING, OPEN, Protocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from heads import KEY
from outcome import Outcome, replies_of, response_of
from streams import CLOSE_SENT, HANDSHAKE, MAX_MESSAGE, SERVER

SUBPROTOCOLS = ["chat", "superchat"]
LOGGER = logging.getLogger("differential")
LOGGER.setLevel(logging.CRITICAL + 1)


# Limits for heads, which are settings of `websockets`. They are those of Sockeye, which has no limit for a line.
websockets.http11.MAX_LINE_LENGTH = 16 * 1024
websockets.http11.MAX_NUM_HEADERS = 100


class Collecting(Protocol):
    """Joins fragments and validates text, as the connections of `websockets` do outside of the protocol core.

    Invalid text fails the connection within the core, so that the result does not depend on how the stream is split.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.received = []
        self.failed_with = None
        self.message = None  # the kind and the fragments of the message in progress
        self.utf8 = None

    def fail(self, code, reason=""):
        if self.failed_with is None:
            self.failed_with = int(code)
        super().fail(code, reason)

    def recv_frame(self, frame):
        super().recv_frame(frame)
        match frame.opcode:
            case Opcode.PING | Opcode.PONG:
                self.received.append((frame.opcode.name.lower(), bytes(frame.data)))
            case Opcode.CLOSE:
                self.received.append(("close", self.close_rcvd.code, self.close_rcvd.reason.encode()))
            case _:
                self.receive_data_frame(frame)

    def receive_data_frame(self, frame):
        if frame.opcode is not Opcode.CONT:
            self.message = ("text" if frame.opcode is Opcode.TEXT else "binary", [])
            self.utf8 = codecs.getincrementaldecoder("utf-8")() if frame.opcode is Opcode.TEXT else None
        kind, fragments = self.message
        fragments.append(bytes(frame.data))
        self.validate(frame.data, frame.fin)
        if frame.fin:
            self.received.append((kind, b"".join(fragments)))

    def validate(self, data, is_last):
        if self.utf8 is not None:
            self.utf8.decode(data, is_last)


class Server(ServerProtocol, Collecting):
    pass


class Client(ClientProtocol, Collecting):
    pass


def select_subprotocol(protocol, offered):
    """Selects none if there is no common one. By default, `websockets` rejects such a request."""
    return next((name for name in SUBPROTOCOLS if name in offered), None)


def create(stream, server=Server, client=Client):
    """Creates a connection in the state in which the stream begins."""
    settings = {"max_size": MAX_MESSAGE, "logger": LOGGER}
    if stream.role == SERVER:
        protocol = server(extensions=[ServerPerMessageDeflateFactory()] if stream.compresses else None,
                          subprotocols=SUBPROTOCOLS, select_subprotocol=select_subprotocol,
                          state=CONNECTING if stream.begin == HANDSHAKE else OPEN, **settings)
    else:
        protocol = client(parse_uri("ws://server.example.com/chat"),
                          extensions=[ClientPerMessageDeflateFactory()] if stream.compresses else None,
                          subprotocols=SUBPROTOCOLS,
                          state=CONNECTING if stream.begin == HANDSHAKE else OPEN, **settings)
        protocol.key = KEY
    if stream.extensions:
        protocol.extensions = [deflate(stream.extensions, stream.role)]
    if stream.begin == CLOSE_SENT:
        protocol.send_close(1000)
    return protocol


def deflate(extensions, role):
    """Returns the extension that a response with this header selects."""
    parameters = dict(part.strip().partition("=")[::2] for part in extensions.split(";")[1:])
    sides = []
    for side in ("server", "client"):
        sides.append((f"{side}_no_context_takeover" in parameters, int(parameters.get(f"{side}_max_window_bits", 15))))
    local, remote = sides if role == SERVER else sides[::-1]
    # The replies are control frames, which are not compressed, so the window of the sender does not matter.
    return PerMessageDeflate(remote[0], local[0], remote[1], max(9, local[1]))


def receive(protocol, stream, size):
    """Receives the stream in pieces of this size, and then the end of TCP."""
    start = receive_request(protocol, stream.data, size) if stream.role == SERVER else 0
    for at in range(start, len(stream.data), size):
        protocol.receive_data(stream.data[at:at + size])
    protocol.receive_eof()
    return outcome(protocol, stream, b"".join(protocol.data_to_send()))


def receive_request(protocol, data, size):
    """Receives a request, and responds to it. Returns how many bytes were received.

    A server of `websockets` parses the frames after a request before its program has responded. It must therefore not
    receive bytes beyond the end of the request, which is at the end of a line.
    """
    at = 0
    while at < len(data) and protocol.state is CONNECTING and not protocol.eof_sent:
        end = min(at + size, len(data), data.find(b"\n", at) + 1 or len(data))
        protocol.receive_data(data[at:end])
        at = end
        for request in protocol.events_received():
            protocol.send_response(protocol.accept(request))
    return at


def outcome(protocol, stream, written):
    result = Outcome(events=protocol.received, failure=protocol.failed_with)
    if stream.begin == HANDSHAKE:
        result.head, written = head_of(protocol, stream, written)
    result.replies = replies_of(written, stream.role)
    return result


def head_of(protocol, stream, written):
    error = protocol.handshake_exc
    if error is not None and isinstance(error.__cause__, EOFError) and "reading HTTP" in str(error.__cause__):
        # The stream has ended, or a line has ended without CR LF.
        is_cut = "stream ends" in str(error.__cause__.__cause__)
        return ("incomplete",) if is_cut else ("rejected", None), b""
    if stream.role == SERVER:
        return response_of(written, None)
    if error is None:
        return ("accepted", None, None), written
    response = getattr(error, "response", None)
    return ("rejected", response.status_code // 100 if response else None), b""
