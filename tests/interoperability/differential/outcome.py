"""What an implementation does with a stream: its results in a form that can be compared."""

import dataclasses
import struct

from streams import CLIENT, CLOSE, HANDSHAKE, PONG, SERVER, masked

LOST = 1006  # TCP has ended without a Close


@dataclasses.dataclass
class Outcome:
    # For a stream with a handshake: "accepted", with the extensions and the subprotocol of the response of a server;
    # "rejected", with the class of the status, if there was a response; or "incomplete".
    head: tuple | None = None
    events: list = dataclasses.field(default_factory=list)
    # The code with which the connection was failed, or LOST.
    failure: int | None = None
    # Pongs and Close frames. The reasons of Close frames are omitted: an endpoint may choose them (RFC 6455 §5.5.1).
    replies: list = dataclasses.field(default_factory=list)

    def contents(self):
        """Yields what the test should have covered."""
        match self.head:
            case ("accepted" | "incomplete" as name, *_):
                yield name
            case ("rejected", status):
                yield f"rejected with {status}xx" if status else "rejected"
        yield from {event[0] for event in self.events}
        if self.failure is not None:
            yield f"failed with {self.failure}"


def is_late_flush_of(late, outcome):
    """Returns whether an outcome differs only in its Pongs.

    If output cannot be written, the latest Ping is answered (RFC 6455 §5.5.3), unless the connection ends before.
    """
    remaining = iter(outcome.replies)
    is_part = all(reply in remaining for reply in late.replies)
    has_ended = outcome.failure not in (None, LOST) or any(event[0] == "close" for event in outcome.events)
    is_latest = has_ended or late.replies[-1:] == outcome.replies[-1:]
    return is_part and is_latest and dataclasses.replace(late, replies=outcome.replies) == outcome


def sockeye_outcome(stream, result):
    """Decodes a result of core.rs."""
    outcome, written, error = Outcome(), b"", None
    for letter, content in items(result):
        match letter:
            case "q":
                outcome.head = ("rejected", None)  # unless the response has another
            case "a":
                outcome.head = ("accepted", None, None)
            case "j":
                outcome.head = ("rejected", struct.unpack("<H", content)[0] // 100)
            case "t" | "b":
                outcome.events.append(({"t": "text", "b": "binary"}[letter], content))
            case "i" | "o":
                outcome.events.append(({"i": "ping", "o": "pong"}[letter], content))
            case "c":
                outcome.events.append(("close", struct.unpack("<H", content[:2])[0], content[2:]))
            case "e":
                assert error is None, "a second error"
                error, = struct.unpack("<H", content[:2])
            case "l":
                if content == b"HandshakeCut":
                    outcome.head = ("incomplete",)
                else:
                    assert content == b"ConnectionLost" and error is None, (content, error)
                    outcome.failure = LOST
            case "w":
                written = content
    if stream.begin == HANDSHAKE and stream.role == SERVER:
        outcome.head, written = response_of(written, outcome.head)
    elif stream.begin == HANDSHAKE and outcome.head is None:
        outcome.head = ("rejected", None)
    if error is not None and (outcome.head is None or outcome.head[0] == "accepted"):
        outcome.failure = error
    outcome.replies = replies_of(written, stream.role)
    return outcome


def items(result):
    at = 0
    while at < len(result):
        size, = struct.unpack_from("<I", result, at + 1)
        yield chr(result[at]), result[at + 5:at + 5 + size]
        at += 5 + size


def response_of(written, head):
    """Splits what a server has written into its response and its frames."""
    if not written:
        return head or ("rejected", None), b""
    text, _, frames = written.partition(b"\r\n\r\n")
    first, *lines = text.decode("latin-1").split("\r\n")
    status = int(first.split(" ")[1])
    if status != 101:
        return ("rejected", status // 100), b""
    fields = {}
    for line in lines:
        name, value = line.split(":", 1)
        assert name.lower() not in fields, f"the response repeats {name}"
        fields[name.lower()] = value.strip()
    extensions = fields.get("sec-websocket-extensions")
    if extensions is not None:
        extensions = tuple(tuple(sorted(part.strip() for part in each.split(";"))) for each in extensions.split(","))
    return ("accepted", extensions, fields.get("sec-websocket-protocol")), frames


def replies_of(data, role):
    """Decodes frames strictly: those of a client must be masked, and those of a server must not be."""
    replies = []
    while data:
        first, second = data[0], data[1]
        size = second & 0x7F
        assert bool(second & 0x80) == (role == CLIENT), "wrong masking in a reply"
        assert first & 0xF0 == 0x80 and size <= 125, "invalid header of a reply"
        start = 6 if role == CLIENT else 2
        payload = masked(data[start:start + size], data[2:6] if role == CLIENT else None)
        assert len(payload) == size, "incomplete reply"
        if first & 0x0F == PONG:
            replies.append(("pong", payload))
        else:
            assert first & 0x0F == CLOSE and size != 1, "unexpected reply"
            replies.append(("close", int.from_bytes(payload[:2]) if payload else None))
        data = data[start + size:]
    return replies
