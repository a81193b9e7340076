"""The rules for heads in which Sockeye differs on purpose. The table in docs/conformance.md explains each of them.

Where Sockeye accepts more, a rule replaces a part of the head with one that `websockets` accepts. Where Sockeye accepts
less, a rule is a condition under which a head that `websockets` accepts must be rejected.
"""

import base64
import dataclasses
import re

from outcome import Outcome
from streams import CLIENT, SERVER

MAX_HEAD = 16 * 1024
MAX_TARGET = 8 * 1024
TOKEN = rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+"
QUOTED = rb'"(?:[^"\\]|\\.)*"'
EXTENSION = rb"%s(?:[ \t]*;[ \t]*%s(?:[ \t]*=[ \t]*(?:%s|%s))?)*" % (TOKEN, TOKEN, TOKEN, QUOTED)
HOST = rb"(?:\[[-0-9A-Za-z:.%_~]+\]|[-0-9A-Za-z._~%!$&'()*+,;=]+)(?::([0-9]*))?"
TEXT = re.compile(rb"[\t -~\x80-\xff]*")
VISIBLE = rb"[!\"$-~]"  # without #, which would begin a fragment


class Head:
    """The first line and the fields of a head that can be read."""

    def __init__(self, role, data):
        self.role = role
        self.data = data
        self.empty_lines = re.match(rb"(?:\r\n)*", data).group() if role == SERVER else b""
        head, separator, self.rest = data[len(self.empty_lines):].partition(b"\r\n\r\n")
        self.is_complete = bool(separator)
        self.length = len(data) - len(self.rest)
        self.first, *lines = head.split(b"\r\n")
        self.fields = [line.partition(b":") for line in lines]

    def values(self, name):
        return [value.strip(b" \t") for other, _, value in self.fields if other.lower() == name]

    def replace(self, name, values):
        """Replaces all fields with this name."""
        self.fields = [field for field in self.fields if field[0].lower() != name]
        self.fields += [(name, b":", value) for value in values]

    def encode(self):
        if not self.is_complete:
            return self.data
        lines = [self.first, *(name + colon + value for name, colon, value in self.fields)]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.rest

    def words(self):
        return self.first.split(b" ")

    @property
    def status(self):
        match = re.match(rb"HTTP/1\.[0-9] ([1-9][0-9][0-9])(?: |$)", self.first)
        return int(match.group(1)) if match else None


def elements(values):
    """Splits lists at commas that are not within quoted strings."""
    for value in values:
        yield from (element.strip(b" \t") for element in re.findall(rb'(?:"(?:\\.|[^"\\])*(?:"|$)|[^,"])+', value))


# Where Sockeye accepts more.

def empty_lines(head):
    return bool(head.empty_lines)  # they are omitted by `encode`


def later_version(head):
    changed = re.sub(rb"HTTP/1\.[2-9]$" if head.role == SERVER else rb"^HTTP/1\.[2-9](?= )", b"HTTP/1.1", head.first)
    is_changed, head.first = changed != head.first, changed
    return is_changed


def missing_reason(head):
    if head.role == SERVER or not re.fullmatch(rb"HTTP/1\.1 [1-9][0-9][0-9]", head.first):
        return False
    head.first += b" "
    return True


def upgrade_list(head):
    """`websockets` accepts one element only."""
    values = head.values(b"upgrade")
    names = list(elements(values))
    if head.role == CLIENT and any(name.lower() != b"websocket" for name in names):
        return False
    return len(names + values) > 2 and reduce_list(head, b"upgrade", names, b"websocket")


def connection_list(head):
    """`websockets` rejects an empty list, and one with an element that is not a token."""
    values = head.values(b"connection")
    options = list(elements(values))
    are_tokens = all(re.fullmatch(TOKEN, option) for option in options)
    is_accepted = are_tokens and all(list(elements([value])) for value in values)
    return not is_accepted and reduce_list(head, b"connection", options, b"upgrade")


def reduce_list(head, name, found, wanted):
    if wanted not in map(bytes.lower, found) or not all(map(TEXT.fullmatch, found)):
        return False
    head.replace(name, [wanted])
    return True


def repeated_origin(head):
    origins = head.values(b"origin")
    if head.role == CLIENT or len(origins) < 2 or not all(map(TEXT.fullmatch, origins)):
        return False
    head.replace(b"origin", [])
    return True


def empty_subprotocols(head):
    """`websockets` rejects each field without an element, and Sockeye only a request that has no other field."""
    name = b"sec-websocket-protocol"
    values = head.values(name)
    kept = [value for value in values if list(elements([value]))]
    if head.role == CLIENT or not kept or kept == values:
        return False
    head.replace(name, kept)
    return True


def smallest_window(head):
    name = b"sec-websocket-extensions"
    values = head.values(name)
    changed = [re.sub(rb"(client_max_window_bits *= *)(?:8\b|\"8\")", rb"\g<1>9", value) for value in values]
    if head.role == SERVER or values == changed:
        return False
    head.replace(name, changed)
    return True


ACCEPTS_MORE = {
    "empty-lines": empty_lines,
    "later-version": later_version,
    "missing-reason": missing_reason,
    "upgrade-list": upgrade_list,
    "connection-list": connection_list,
    "repeated-origin": repeated_origin,
    "empty-subprotocols": empty_subprotocols,
    "smallest-window": smallest_window,
}


# Where Sockeye accepts less.

def invalid_host(head):
    hosts = head.values(b"host")
    if head.role == CLIENT or (len(hosts) == 1 and is_host(hosts[0])):
        return False
    # RFC 9112 §3.2.2: the host of a target in absolute form replaces the one in the field, which can be empty.
    return hosts != [b""] or b"://" not in head.first


def is_host(text):
    match = re.fullmatch(HOST, text)
    return bool(match) and int(match.group(1) or 0) < 2**16


def invalid_target(head):
    if head.role == CLIENT or len(head.words()) != 3:
        return False
    target = head.words()[1]
    absolute = re.fullmatch(rb"(?i:https?|wss?)://([^/?]*)(?:[/?]%s*)?" % VISIBLE, target)
    is_path = re.fullmatch(rb"/%s*" % VISIBLE, target)
    return not (is_path or absolute and is_host(absolute.group(1)))


def repeated_subprotocol(head):
    offered = list(elements(head.values(b"sec-websocket-protocol")))
    return head.role == SERVER and len(set(offered)) < len(offered)


def invalid_extensions(head):
    values = head.values(b"sec-websocket-extensions")
    return head.role == SERVER and any(
        not re.fullmatch(rb"[ \t,]*%s(?:[ \t]*,[ \t,]*%s)*[ \t,]*" % (EXTENSION, EXTENSION), value)
        or any(not re.fullmatch(TOKEN, unquoted(part)) for part in re.findall(QUOTED, value)) for value in values)


def unquoted(text):
    return re.sub(rb"\\(.)", rb"\1", text[1:-1])


def other_key(head):
    keys = head.values(b"sec-websocket-key")
    return head.role == SERVER and len(keys) == 1 and base64.b64encode(base64.b64decode(keys[0] + b"==")) != keys[0]


def repeated_content_length(head):
    return head.role == SERVER and len(head.values(b"content-length")) > 1


def several_answers(head):
    """§11.3.2 and §11.3.4: these fields appear once in a response, and there is one subprotocol."""
    protocols = head.values(b"sec-websocket-protocol")
    is_list = len(head.values(b"sec-websocket-extensions")) > 1 or len(protocols) > 1 or b"," in b"".join(protocols)
    return head.role == CLIENT and is_list


def too_large(head):
    words = head.words()
    target = words[1] if head.role == SERVER and len(words) > 1 else b""
    return head.length > MAX_HEAD or len(target) > MAX_TARGET


ACCEPTS_LESS = {
    "host": invalid_host,
    "target": invalid_target,
    "repeated-subprotocol": repeated_subprotocol,
    "extension-list": invalid_extensions,
    "key": other_key,
    "repeated-content-length": repeated_content_length,
    "several-answers": several_answers,
    "head-size": too_large,
}

# Both reject the head, with different responses.
INTERIM = "interim-response"
RESPONSE = "response-to-malformed-head"
STATUS = "several-errors"
BODY = "body-of-response"
AT_ONCE = "head-rejected-at-once"

HEAD_RULES = [*ACCEPTS_MORE, *ACCEPTS_LESS, INTERIM, RESPONSE, STATUS, BODY, AT_ONCE]


def acceptable(stream):
    """Replaces what only Sockeye accepts in a head.

    Returns the stream, the length of the head before, with interim responses, and the rules that were applied.
    """
    head, applied = Head(stream.role, stream.data), set()
    while stream.role == CLIENT and head.is_complete and head.status and head.status // 100 == 1 and head.status != 101:
        applied.add(INTERIM)
        head = Head(stream.role, head.rest)
    if head.is_complete:
        applied |= {name for name, rule in ACCEPTS_MORE.items() if rule(head)}
    length = len(stream.data) - len(head.rest)
    return dataclasses.replace(stream, data=head.encode()) if applied else stream, length, applied


def judged(stream, length, theirs, ours):
    """Returns the expected outcome of a stream with an acceptable head, and the rules that were applied."""
    head = Head(stream.role, stream.data)
    head.length = length
    if theirs.head[0] == "accepted":
        broken = {name for name, rule in ACCEPTS_LESS.items() if rule(head)}
        return (Outcome(head=("rejected", 4 if stream.role == SERVER else None)), broken) if broken else (theirs, set())
    if theirs.head == ours.head or ours.head[0] == "accepted":
        return theirs, set()
    if theirs.head[0] == "incomplete":
        return Outcome(head=ours.head), {AT_ONCE}
    if stream.role == CLIENT:
        is_status = head.status is not None and ours.head[1] in (None, head.status // 100)
        return (Outcome(head=ours.head), {BODY}) if is_status else (theirs, set())
    if theirs.head[1] is None:
        return Outcome(head=ours.head), {RESPONSE}
    if not head.first.endswith(b" HTTP/1.1"):
        return Outcome(head=ours.head), {STATUS}
    return theirs, set()
