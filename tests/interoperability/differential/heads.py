"""Heads of requests and responses: valid ones, and mutations of their lines."""

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the key of RFC 6455 §1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

OFFERS = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_max_window_bits=10; server_max_window_bits=9",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=\"12\"",
    "x-unknown; a=b, permessage-deflate; server_no_context_takeover",
    "permessage-deflate; server_max_window_bits=8, permessage-deflate",
    "permessage-deflate; unknown, permessage-deflate; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=16",
    "x-unknown",
]
ANSWERS = [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits=10",
    "permessage-deflate; client_max_window_bits=8",
    "permessage-deflate; server_max_window_bits=9",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; server_no_context_takeover; client_max_window_bits=\"15\"",
]


def request(rng, compresses):
    """Returns the lines of a valid request, and the extensions that a server accepts, if this is simple to predict."""
    target = rng.choice(["/", "/chat", "/chat?a=b&c=%20", "/a/../b;c=d", "//x", "http://server.example.com/chat"])
    fields = [
        ["Host", rng.choice(["server.example.com", "server.example.com:8080", "[::1]:80"])],
        ["Upgrade", rng.choice(["websocket", "WebSocket"])],
        ["Connection", rng.choice(["Upgrade", "keep-alive, Upgrade", "upgrade"])],
        ["Sec-WebSocket-Key", KEY],
        ["Sec-WebSocket-Version", "13"],
    ]
    if rng.random() < 0.5:
        fields.append(["Origin", "http://example.com"])
    if rng.random() < 0.4:
        fields.append(["Sec-WebSocket-Protocol", rng.choice(["chat", "superchat, chat", "x, superchat", "unknown"])])
    if rng.random() < 0.3:
        fields.append([rng.choice(["X-Other", "Cookie", "User-Agent"]), rng.choice(["", "a=b; c", "\xe9\xff \t x"])])
    extensions = ""
    if rng.random() < 0.6:
        offer = rng.choice(OFFERS)
        fields.append(["Sec-WebSocket-Extensions", offer])
        if compresses and offer in OFFERS[:2]:
            extensions = "permessage-deflate"
        elif compresses and offer == OFFERS[2]:
            extensions = OFFERS[2]
        elif compresses and offer == OFFERS[3]:
            extensions = OFFERS[3]
    shuffle(rng, fields)
    return [f"GET {target} HTTP/1.1", fields], extensions


def response(rng, compresses):
    """Returns the lines of a valid response, and the extensions that it contains."""
    fields = [
        ["Upgrade", rng.choice(["websocket", "WebSocket"])],
        ["Connection", rng.choice(["Upgrade", "keep-alive, Upgrade", "upgrade"])],
        ["Sec-WebSocket-Accept", ACCEPT],
    ]
    if rng.random() < 0.4:
        fields.append(["Sec-WebSocket-Protocol", rng.choice(["chat", "superchat"])])
    if rng.random() < 0.3:
        fields.append([rng.choice(["Server", "Date", "Set-Cookie"]), rng.choice(["", "a=b; c", "\xe9\xff \t x"])])
    extensions = ""
    if compresses and rng.random() < 0.6:
        extensions = rng.choice(ANSWERS)
        fields.append(["Sec-WebSocket-Extensions", extensions])
        extensions = extensions.replace('"', "")
    shuffle(rng, fields)
    return ["HTTP/1.1 101 " + rng.choice(["Switching Protocols", "OK", ""]), fields], extensions


def shuffle(rng, fields):
    if rng.random() < 0.5:
        rng.shuffle(fields)
    if rng.random() < 0.2:
        for field in fields:
            field[0] = rng.choice([field[0].lower(), field[0].upper()])


def encode_head(lines, line_break="\r\n", separator=": "):
    first, fields = lines
    text = line_break.join([first, *(separator.join(field) for field in fields), "", ""])
    return text.encode("latin-1")


# Mutations. Each changes the lines, or returns the bytes of a head that cannot be written as lines.

def remove_field(rng, lines):
    lines[1].pop(rng.randrange(len(lines[1])))


def repeat_field(rng, lines):
    field = rng.choice(lines[1])
    lines[1].insert(rng.randrange(len(lines[1]) + 1), list(field))


def split_list(rng, lines):
    """Sends a list as two fields."""
    lists = [field for field in lines[1] if "," in field[1]]
    if lists:
        field = rng.choice(lists)
        field[1], rest = field[1].split(",", 1)
        lines[1].append([field[0], rest.strip()])


def change_value(rng, lines):
    field = rng.choice(lines[1])
    values = VALUES.get(field[0].lower(), OTHER_VALUES)
    field[1] = rng.choice(values if rng.random() < 0.9 else OTHER_VALUES)


def add_field(rng, lines):
    field = rng.choice(FIELDS)
    for _ in range(rng.choice([1, 1, 2])):
        lines[1].insert(rng.randrange(len(lines[1]) + 1), list(field))


def pad_value(rng, lines):
    field = rng.choice(lines[1])
    pattern = rng.choice([" {}", "{} ", "\t{}\t", "{},", ",{}", ", {} ,", "{},,{}", '"{}"', "{};", "{}\x0b", "x,{}",
                          "{}, x/1", "{} x", "{}, a b"])
    field[1] = pattern.replace("{}", field[1])


def change_name(rng, lines):
    field = rng.choice(lines[1])
    pattern = rng.choice(["{} ", " {}", "{}\t", "{}x", "\t{}", "{}\xe9", "{}:", "", "{}(", "X\r\n{}"])
    field[0] = pattern.replace("{}", field[0])


def change_first_line(rng, lines):
    lines[0] = rng.choice(STATUS_LINES if lines[0].startswith("HTTP/") else REQUEST_LINES)


def change_line_breaks(rng, lines):
    kind = rng.randrange(4)
    if kind == 0:
        return encode_head(lines, line_break=rng.choice(["\n", "\r", "\r\r\n", "\n\r"]))
    head = encode_head(lines)
    breaks = [at for at in range(len(head)) if head.startswith(b"\r\n", at)]
    at = rng.choice(breaks)
    if kind == 1:
        return head[:at] + rng.choice([b"\n", b"\r", b"", b"\r\n ", b"\r\n\t", b"\r\n\r\n", b"\0\r\n"]) + head[at + 2:]
    return rng.choice([b"\r\n", b"\r\n\r\n", b"\n", b" ", b"\r"]) + head


def change_separator(rng, lines):
    return encode_head(lines, separator=rng.choice([":", ":\t", ":  ", " : ", "", ";"]))


def lengthen(rng, lines):
    """Exceeds, or almost exceeds, a limit of one of the implementations."""
    match rng.randrange(4):
        case 0:
            lines[1] += [[f"X-{number}", "x"] for number in range(rng.choice([80, 94, 100, 110, 123, 130]))]
        case 1:
            lines[1].append(["X", "x" * rng.choice([1000, 8000, 8180, 8190, 9000, 17_000])])
        case 2:
            lines[1] += [[f"X-{number}", "x" * 1000] for number in range(rng.choice([10, 15, 16, 17]))]
        case _:
            words = lines[0].split(" ")
            words[-2 if len(words) == 3 else -1] += "x" * rng.choice([1000, 8150, 8180, 8190, 9000, 17_000])
            lines[0] = " ".join(words)


REQUEST_LINES = [
    *(f"{method} {target} {version}" for method, target, version in [
        ("POST", "/chat", "HTTP/1.1"), ("HEAD", "/chat", "HTTP/1.1"), ("get", "/chat", "HTTP/1.1"),
        ("", "/chat", "HTTP/1.1"), ("G T", "/chat", "HTTP/1.1"), ("OPTIONS", "*", "HTTP/1.1"),
        ("GET", "*", "HTTP/1.1"), ("GET", "chat", "HTTP/1.1"), ("GET", "", "HTTP/1.1"), ("GET", "/a b", "HTTP/1.1"),
        ("GET", "/a#b", "HTTP/1.1"), ("GET", "#", "HTTP/1.1"), ("GET", "ws://server.example.com", "HTTP/1.1"),
        ("GET", "ws://user@server.example.com/", "HTTP/1.1"), ("GET", "WSS://other.example:80?a", "HTTP/1.1"),
        ("GET", "http://a#b", "HTTP/1.1"), ("GET", "ftp://server.example.com/", "HTTP/1.1"),
        ("GET", "http:///", "HTTP/1.1"), ("GET", "server:80", "HTTP/1.1"), ("GET", "/\xe9", "HTTP/1.1"),
        ("GET", "/\x7f", "HTTP/1.1"), ("GET", "/\t", "HTTP/1.1"), ("GET", "/\0", "HTTP/1.1"),
        ("GET", "/%zz", "HTTP/1.1"), ("GET", "/<>\"{}|\\^`", "HTTP/1.1"), ("CONNECT", "server:80", "HTTP/1.1"),
        ("GET", "/chat", "HTTP/1.0"), ("GET", "/chat", "HTTP/1.2"), ("GET", "/chat", "HTTP/2.0"),
        ("GET", "/chat", "HTTP/0.9"), ("GET", "/chat", "HTTP/1.10"), ("GET", "/chat", "http/1.1"),
        ("GET", "/chat", "HTTP/1.1 "), ("GET", "/chat", "ICY"), ("POST", "/chat", "HTTP/1.0"),
        ("POST", "/chat", "HTTP/2.0"), ("G(T", "/chat", "HTTP/1.1"),
    ]),
    "GET  /chat HTTP/1.1", " GET /chat HTTP/1.1", "GET /chat", "GET\t/chat\tHTTP/1.1", "", "\x16\x03\x01\x02",
]

STATUS_LINES = [
    "HTTP/1.1 101", "HTTP/1.1 101 ", "HTTP/1.0 101 OK", "HTTP/1.2 101 OK", "HTTP/2.0 101 OK", "HTTP/1.1 200 OK",
    "HTTP/1.1 204 No Content", "HTTP/1.1 301 Moved", "HTTP/1.1 404 Not Found", "HTTP/1.1 503 x", "HTTP/1.1 100 Go",
    "HTTP/1.1 103 Hints", "HTTP/1.1 199 x", "HTTP/1.1 099 x", "HTTP/1.1 600 x", "HTTP/1.1 999 x", "HTTP/1.1 1010 x",
    "HTTP/1.1 10 x", "HTTP/1.1 +101 x", "HTTP/1.1 abc x", "HTTP/1.1  101 x", "HTTP/1.1\t101 x", " HTTP/1.1 101 x",
    "http/1.1 101 x", "HTTP/1.1 101 \xe9", "HTTP/1.1 101 \x01", "HTTP/1.1 101\tx", "ICY 101 x", "", "HTTP/1.0 200 OK",
    "HTTP/1.1 101 a  b\t",
]

VALUES = {
    "host": ["", "a b", "user@a", "a/b", "a:b", "a:65536", "a:", "[::1", "[::1]", "\xe9", "a,b", "a#b", "::1"],
    "upgrade": [
        "", "websockets", "websocket/13", "h2c", "h2c, websocket", "websocket, h2c", "websocket, websocket",
        "web socket", "websocket;q=1", "\"websocket\"", "WEBSOCKET", ",websocket", "websocket/",
    ],
    "connection": [
        "", "close", "close, Upgrade", "Upgrade, Upgrade", "noupgrade", "upgrade x", "Upgrade;q=1", "\"Upgrade\"",
        "Upgrade, \"a,b\"", "Upgrade, a b", "UPGRADE", "keep-alive,, Upgrade", "a/b, Upgrade",
    ],
    "sec-websocket-key": [
        "", KEY[:-1], KEY + "=", KEY[:-2], "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZf==",
        "dGhlIHNhbXBsZSBub25j", "x" * 24, "dGhlIHNhbXBsZSBub25jZQ== x", "dGhlIHNhbXBsZSBub25jZS8=",
        "dGhl IHNhbXBsZSBub25jZQ==", "\xe9" * 24, "__________________AAAA==", "AAAAAAAAAAAAAAAAAAAAAA==",
    ],
    "sec-websocket-version": ["", "12", "8", "013", "13.0", "13, 8", "8, 13", "+13", "\"13\"", "14", "13,"],
    "sec-websocket-accept": ["", ACCEPT.lower(), ACCEPT[:-1], ACCEPT + "=", ACCEPT + ", x", "x"],
    "sec-websocket-protocol": [
        "", ",", "chat, chat", "chat,", ",chat", "Chat", "chat, superchat", "a b", "\"chat\"", "x", "ch/at",
        "chat;q=1", "\xe9", "chat, Chat",
    ],
    "sec-websocket-extensions": [
        "", ",", "a b", "foo;", "foo;;bar", "foo; a=\"b c\"", "foo; a=\"b\"", "foo; a=\"\\b\"", "foo=1", "\xe9",
        "foo; a=\"b", "permessage-deflate, permessage-deflate", "Permessage-Deflate",
        "permessage-deflate; client_max_window_bits=8", "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits", "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=010", "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16", "permessage-deflate; unknown",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits=\"9\"", "permessage-deflate,", "foo, permessage-deflate",
        "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
    ],
    "origin": ["", "null", "http://a, http://b", "\xe9", "not an origin"],
}
OTHER_VALUES = [
    "", " ", "x", "\x00", "\x7f", "\x1b[2J", "\xff", "a\rb", "a\nb", "a\r\n b", "a\tb", "13", "websocket", "Upgrade",
]

FIELDS = [
    *[["Content-Length", "0"]] * 5, ["Content-Length", "5"], ["Content-Length", "0, 0"],
    ["Content-Length", "-1"], ["Content-Length", ""], ["Content-Length", "00"], ["Transfer-Encoding", "chunked"],
    ["Transfer-Encoding", ""], ["Host", "other.example"], ["Origin", "http://other.example"], ["Origin", "null"],
    ["Upgrade", "h2c"], ["Connection", "close"], ["Connection", "a b"], ["Sec-WebSocket-Extensions", "x-other"],
    ["Sec-WebSocket-Extensions", "permessage-deflate"], ["Sec-WebSocket-Protocol", "chat"],
    ["Sec-WebSocket-Protocol", "other"], ["Sec-WebSocket-Protocol", ""], ["Sec-WebSocket-Key", KEY],
    ["Sec-WebSocket-Accept", ACCEPT],
    ["Sec-WebSocket-Version", "8"], ["X", ""], ["X", "\x01"], ["X Y", "z"], ["", "x"], ["Expect", "100-continue"],
    ["Trailer", "x"],
]

HEAD_MUTATIONS = [
    remove_field, repeat_field, split_list, change_value, change_value, change_value, change_value, add_field,
    add_field, pad_value, change_name, change_first_line, change_first_line, change_line_breaks, change_separator,
    lengthen,
]
