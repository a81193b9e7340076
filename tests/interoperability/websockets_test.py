"""Tests between Sockeye and Python's `websockets`, in both roles. tests/interoperability/run starts this script."""

import asyncio
import contextlib
import functools
import itertools
import random
import sys
from types import SimpleNamespace

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import basic_auth, serve
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.exceptions import ConnectionClosed, InvalidStatus

from harness import LIMIT, SCHEME, Sockeye, bytes_of, encryption, pieces_of, run, text_of

MAX_MESSAGE = 16 * 2**20  # the default of Sockeye, and the setting of the other side
SIZES = [0, 1, 125, 126, 65535, 65536, 2**20, MAX_MESSAGE]
LONGEST_REASON = "🐟" * 30 + "end"
CLOSES = [(0, ""), (1000, ""), (1000, "bye"), (1001, "gone"), (1002, ""), (1003, ""), (1007, ""), (1008, "no"),
          (1009, ""), (1010, ""), (1011, "größer"), (1012, ""), (1013, ""), (1014, ""), (3000, ""), (3999, "x"),
          (4000, ""), (4999, LONGEST_REASON)]
PROTOCOLS = ["chat.v2", "chat.v1"]
numbers = itertools.count()
CLIENT_TLS, SERVER_TLS = encryption()
assert len(LONGEST_REASON.encode()) == 123


class World:
    """The shared state of all tests: Sockeye processes with different settings, and servers for Sockeye's clients."""

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls):
        restrictive = {"subprotocols": PROTOCOLS, "origins": ["http://good.example"]}
        async with (cls.with_settings() as self, Sockeye.running(**restrictive) as self.restrictive,
                    cls.with_settings(deflate=True) as keeping, cls.with_settings(deflate=False) as resetting,
                    self.server(subprotocols=["other", "chat.v1"]) as self.chat_url,
                    self.server(select_subprotocol=lambda *_: "surprise") as self.surprise_url,
                    self.server(process_request=basic_auth(credentials=("fish", "s3cr:t"))) as self.private_url):
            self.compressing = {"keeping contexts": keeping, "without contexts": resetting}
            yield self

    @classmethod
    @contextlib.asynccontextmanager
    async def with_settings(cls, **settings):
        """Creates the part of the world in which all processes have the same settings for compression."""
        self = cls()
        self.arrivals = {}
        self.compresses = "deflate" in settings
        async with (Sockeye.running(**settings) as self.plain,
                    Sockeye.running(fragment_size=2**30, **settings) as self.whole,
                    Sockeye.running(fragment_size=100, **settings) as self.pieces,
                    self.server() as self.url):
            yield self

    @contextlib.asynccontextmanager
    async def server(self, **options):
        def refuse(connection, request):
            if request.path.startswith("/refuse"):
                return connection.respond(403, "not today")

        async def keep(connection):
            self.arrival(connection.request.path).set_result(connection)
            await connection.wait_closed()

        options = {"process_request": refuse, "max_size": MAX_MESSAGE, **SERVER_TLS, **options}
        async with serve(keep, "127.0.0.1", 0, **options) as server:
            yield "{}://127.0.0.1:{}".format(SCHEME, server.sockets[0].getsockname()[1])

    def arrival(self, name):
        return self.arrivals.setdefault(name, asyncio.get_running_loop().create_future())

    @contextlib.asynccontextmanager
    async def link(self, role, sockeye=None, url=None, **options):
        """Opens a connection with Sockeye in this role. At the end, closes it and waits for both sides."""
        sockeye, name = sockeye or self.plain, f"/{next(numbers)}"
        if role == "server":
            url = f"{SCHEME}://127.0.0.1:{sockeye.port}{name}"
            theirs = await connect(url, max_size=MAX_MESSAGE, proxy=None, **CLIENT_TLS, **options)
        else:
            sockeye.send_command(connect=(url or self.url) + name)
            theirs = await asyncio.wait_for(self.arrival(name), LIMIT)
        opened = await sockeye.event(name, "open")
        assert opened["role"] == role, opened
        assert len(theirs.protocol.extensions) == len(opened["extensions"]) == int(self.compresses), opened
        yield SimpleNamespace(
            theirs=theirs, opened=opened, compresses=self.compresses,
            send_command=lambda **command: sockeye.send_command(to=name, **command),
            event=lambda kind: sockeye.event(name, kind), count=lambda kind: sockeye.count(name, kind))
        await closed(theirs)
        await sockeye.event(name, "lost")


async def closed(theirs, code=1000, reason=""):
    """Closes the connection, and fails if the peer does not complete the closing handshake in time."""
    await asyncio.wait_for(theirs.close(code, reason), LIMIT)


def compressing(function):
    """Returns a test that runs in a part of the world in which messages are compressed."""
    @functools.wraps(function)
    async def test(world, role, contexts, *more):
        await function(world.compressing[contexts], role, *more)
    return test


async def compression_is_declined(world, role):
    async with world.link(role) as link:
        # The client of `websockets` offers permessage-deflate by default.
        offer = [extension.split(";")[0] for extension in link.opened["offered_extensions"]]
        assert offer == (["permessage-deflate"] if role == "server" else []), offer
        await echo(link, text_of(1000), "text", 1000)


async def incompressible_fragments(world, role):
    """Incompressible messages are sent without compression, or in many fragments."""
    async with world.link(role, sockeye=world.pieces) as link:
        for _ in range(3):
            await echo(link, random.randbytes(12345), "binary", 12345)
            await echo(link, text_of(12345), "text", 12345)


async def similar_messages(world, role):
    async with world.link(role) as link:
        for number in range(100):
            message = f"the quick brown fish {number} " * number
            await echo(link, message, "text", len(message))


async def parameters(world, role, theirs):
    """Uses parameters of the extension in an offer to Sockeye's server, or in an answer to Sockeye's client."""
    options = {"extensions": [theirs.factory], "compression": None}
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(world.server(**options)) if role == "client" else None
        link = await stack.enter_async_context(world.link(role, url=url, **(options if role == "server" else {})))
        for _ in range(3):
            await echo(link, text_of(100_000), "text", 100_000)


class Parameters:
    """One set of parameters of the extension in the other implementation."""

    def __init__(self, role, **values):
        self.values = values
        factory = ClientPerMessageDeflateFactory if role == "server" else ServerPerMessageDeflateFactory
        self.factory = factory(**values)

    def __str__(self):
        return str(self.values)


def all_parameters(role):
    for server, client, bits in itertools.product((False, True), (False, True), (None, 9, 12, 15)):
        yield Parameters(role, server_no_context_takeover=server, client_no_context_takeover=client,
                         server_max_window_bits=bits, client_max_window_bits=bits)


async def echoes(world, role, kind, size):
    async with world.link(role, sockeye=world.whole) as link:
        await echo(link, text_of(size) if kind == "text" else bytes_of(size), kind, size)


async def echo(link, message, kind, size, frames=1):
    await link.theirs.send(message)
    received = await link.event("message")
    assert (received["kind"], received["len"], received["frames"]) == (kind, size, frames), received
    assert received["compressed"] == link.compresses, received
    answer = await link.theirs.recv()
    # An assertion that compares the messages would print them.
    is_same = answer == message
    assert is_same, f"{len(message)} sent, {len(answer)} of {type(answer)} received"


async def their_fragments(world, role, kind):
    """Sends fragments of seven bytes, which split characters. Some are empty, and Pings are sent between others."""
    async with world.link(role) as link:
        message = text_of(1003).encode() if kind == "text" else bytes_of(1003)
        pieces = [b"", *pieces_of(message, 7), b""]
        pongs = []

        async def fragments():
            for number, piece in enumerate(pieces):
                if number % 50 == 3:
                    pongs.append(await link.theirs.ping(f"between {number}"))
                yield piece

        await link.theirs.send(fragments(), text=kind == "text")
        await asyncio.gather(*pongs)
        received = await link.event("message")
        # `websockets` ends each fragmented message with an empty frame.
        assert (received["kind"], received["len"], received["frames"]) == (kind, 1003, len(pieces) + 1), received
        assert len(pongs) == link.count("ping") == 3
        answer = await link.theirs.recv(decode=False)
        assert answer == message, answer


async def our_fragments(world, role, kind, size):
    async with world.link(role, sockeye=world.pieces) as link:
        message = text_of(size) if kind == "text" else bytes_of(size)
        await link.theirs.send(message)
        pieces = [piece async for piece in link.theirs.recv_streaming(decode=False)]
        assert pieces == (pieces_of(message.encode() if kind == "text" else message, 100) or [b""]), pieces


async def their_pings(world, role):
    async with world.link(role) as link:
        for payload in ["", "hello", "p" * 125]:
            await asyncio.wait_for(await link.theirs.ping(payload), LIMIT)
            assert (await link.event("ping"))["payload"] == payload
        await link.theirs.pong("unsolicited")
        assert (await link.event("pong"))["payload"] == "unsolicited"
        await echo(link, "still there", "text", 11)


async def our_pings(world, role):
    async with world.link(role) as link:
        for payload in ["", "hello", "p" * 125]:
            link.send_command(ping=payload)
            assert (await link.event("pong"))["payload"] == payload
        link.send_command(pong="unsolicited")
        link.send_command(ping="p" * 126)
        await link.event("refused")
        await echo(link, "still there", "text", 11)


async def their_close(world, role, code, reason):
    async with world.link(role) as link:
        await closed(link.theirs, code or None, reason)
        received = await link.event("close")
        assert (received["code"], received["reason"]) == (code or 1005, reason), received
        # §5.5.1: the response has the same code.
        assert link.theirs.close_code == (code or 1005), link.theirs.close_code
        assert link.count("error") == 0


async def our_close(world, role, code, reason):
    async with world.link(role) as link:
        link.send_command(close=code, reason=reason)
        await asyncio.wait_for(link.theirs.wait_closed(), LIMIT)
        received = link.theirs.close_code, link.theirs.close_reason
        assert received == (code or 1005, reason), received
        assert (await link.event("close"))["code"] == (code or 1005)
        assert link.count("error") == 0


async def both_close(world, role):
    async with world.link(role) as link:
        link.send_command(close=3001, reason="ours")
        await closed(link.theirs, 3002, "theirs")
        received, reported = link.theirs.close_code, (await link.event("close"))["code"]
        assert (received, reported) in [(3001, 3002), (3001, 3001), (3002, 3002)], (received, reported)


async def their_abort(world, role):
    async with world.link(role) as link:
        link.theirs.transport.abort()
        assert (await link.event("close"))["code"] == 1006


async def unsendable_closes(world, role):
    async with world.link(role) as link:
        for code, reason in [(1004, ""), (1006, ""), (999, ""), (5000, ""), (1000, "x" * 124)]:
            link.send_command(close=code, reason=reason)
            await link.event("refused")
        await echo(link, "still there", "text", 11)


async def messages_before_their_close(world, role):
    async with world.link(role) as link:
        receiving = asyncio.create_task(all_messages(link.theirs))
        for number in range(1000):
            await link.theirs.send(str(number))
        await closed(link.theirs)
        received = await receiving
        assert received == [str(number) for number in range(1000)], received[-3:]
        assert (await link.event("close"))["code"] == 1000


async def all_messages(theirs):
    return [message async for message in theirs]


async def messages_before_our_close(world, role):
    async with world.link(role) as link:
        link.send_command(count=1000)
        link.send_command(close=1000)
        received = await all_messages(link.theirs)
        assert received == [str(number) for number in range(1000)], received[-3:]
        assert link.theirs.close_code == 1000


async def their_message_is_too_long(world, role, size):
    """The peer sends one byte too many, in frames of this size. It receives 1009 although it is still sending."""
    async with world.link(role) as link:
        with contextlib.suppress(ConnectionClosed):
            await link.theirs.send(pieces_of(bytes(MAX_MESSAGE + 1), size))
        await asyncio.wait_for(link.theirs.wait_closed(), LIMIT)
        assert link.theirs.close_code == 1009, link.theirs.close_code
        assert (await link.event("error"))["kind"] == "Capacity"
        assert (await link.event("close"))["code"] == 1006


async def our_message_is_too_long(world, role, frames):
    async with world.link(role, sockeye=world.whole if frames == "one frame" else world.plain) as link:
        link.send_command(bytes=MAX_MESSAGE + 1)
        # `websockets` detects the error only while a message is being received.
        with contextlib.suppress(ConnectionClosed):
            await link.theirs.recv()
        assert link.theirs.protocol.close_sent.code == 1009
        assert (await link.event("close"))["code"] == 1009


async def many_in_flight(world, role):
    async with world.link(role) as link:
        async def send_numbers():
            for number in range(10_000):
                await link.theirs.send(str(number))

        sending = asyncio.create_task(send_numbers())
        received = [await link.theirs.recv() for _ in range(10_000)]
        await sending
        assert received == [str(number) for number in range(10_000)]


async def fifty_connections(world, role):
    async def one(number):
        async with world.link(role) as link:
            for size in range(number, 40_000, 2000):
                await echo(link, text_of(size), "text", size)

    await asyncio.gather(*(one(number) for number in range(50)))


async def subprotocols(world, role):
    if role == "server":
        # The order in Sockeye's settings decides. Sockeye does not accept an unknown subprotocol.
        for offered, expected in [(["chat.v1", "chat.v2"], "chat.v2"), (["x", "chat.v1"], "chat.v1"), (["x"], None)]:
            async with world.link(role, sockeye=world.restrictive, subprotocols=offered) as link:
                assert link.theirs.subprotocol == link.opened["subprotocol"] == expected, link.opened
    else:
        for url, expected in [(world.chat_url, "chat.v1"), (world.url, None)]:
            async with world.link(role, sockeye=world.restrictive, url=url) as link:
                assert link.theirs.subprotocol == link.opened["subprotocol"] == expected, link.opened


async def refused(world, role):
    name = f"/refuse/{next(numbers)}"
    if role == "server":
        await is_refused(f"{SCHEME}://127.0.0.1:{world.plain.port}{name}")
    else:
        await rejects(world.plain, world.url + name, name, 403)


async def wrong_origin(world, role):
    url = f"{SCHEME}://127.0.0.1:{world.restrictive.port}/{next(numbers)}"
    await is_refused(url, origin="http://evil.example", body=None)
    async with connect(url, origin="http://good.example", proxy=None, **CLIENT_TLS) as theirs:
        await theirs.send("hello")
        assert await theirs.recv() == "hello"


async def is_refused(url, body=b"not today", **options):
    try:
        async with connect(url, proxy=None, **CLIENT_TLS, **options):
            raise AssertionError("the connection was not refused")
    except InvalidStatus as refusal:
        assert refusal.response.status_code == 403, refusal.response
        assert body is None or refusal.response.body == body, refusal.response


async def rejects(sockeye, url, name, status):
    """Sockeye's client receives a response with this status. No connection opens, so `on_close` is not called."""
    sockeye.send_command(connect=url)
    rejected = await sockeye.event(name, "rejected")
    assert rejected["status"] == status, rejected
    assert (await sockeye.event(name, "error"))["kind"] == "Protocol"
    await sockeye.event(name, "lost")
    assert sockeye.count(name, "open") == sockeye.count(name, "close") == 0


async def credentials(world, role):
    name = f"/{next(numbers)}"
    await rejects(world.plain, world.private_url.replace("//", "//fish:wrong@") + name, name, 401)
    async with world.link(role, url=world.private_url.replace("//", "//fish:s3cr%3At@")) as link:
        assert link.theirs.username == "fish"


async def unoffered_subprotocol(world, role):
    name = f"/{next(numbers)}"
    world.plain.send_command(connect=world.surprise_url + name)
    assert (await world.plain.event(name, "error"))["kind"] == "Protocol"
    await world.plain.event(name, "lost")
    assert world.plain.count(name, "open") == 0


async def shutdown(world, role):
    """All connections receive the earlier messages, and then 1001."""
    async with contextlib.AsyncExitStack() as stack:
        sockeye = await stack.enter_async_context(Sockeye.running())
        links = [await stack.enter_async_context(world.link(role, sockeye=sockeye)) for _ in range(10)]
        receiving = asyncio.gather(*(all_messages(link.theirs) for link in links))
        for link in links:
            link.send_command(count=1000)
        await sockeye.end()
        assert [len(received) for received in await receiving] == [1000] * 10
        for link in links:
            assert link.theirs.close_code == 1001, link.theirs.close_code


def checks():
    """Yields all tests: the role of Sockeye, the function, and further arguments."""
    for role in ("server", "client"):
        for kind, size in itertools.product(("text", "binary"), SIZES):
            yield role, echoes, kind, size
        for kind, size in itertools.product(("text", "binary"), (0, 100, 101, 12345)):
            yield role, our_fragments, kind, size
        for kind in ("text", "binary"):
            yield role, their_fragments, kind
        for close, function in itertools.product(CLOSES, (their_close, our_close)):
            yield role, function, *close
        for size in (MAX_MESSAGE + 1, 2**20, 1000):
            yield role, their_message_is_too_long, size
        for frames in ("one frame", "many frames"):
            yield role, our_message_is_too_long, frames
        for function in (compression_is_declined, their_pings, our_pings, both_close, their_abort, unsendable_closes,
                         messages_before_their_close, messages_before_our_close, many_in_flight, fifty_connections,
                         subprotocols, refused, shutdown):
            yield role, function
        for contexts in ("keeping contexts", "without contexts"):
            yield from compressed(role, contexts)
        for theirs in all_parameters(role):
            yield role, compressing(parameters), "keeping contexts", theirs
    yield "server", wrong_origin
    yield "client", credentials
    yield "client", unoffered_subprotocol


def compressed(role, contexts):
    """Yields the tests in which messages are compressed."""
    for kind, size in itertools.product(("text", "binary"), SIZES):
        yield role, compressing(echoes), contexts, kind, size
    for kind in ("text", "binary"):
        yield role, compressing(their_fragments), contexts, kind
    for close, function in itertools.product(CLOSES, (their_close, our_close)):
        yield role, compressing(function), contexts, *close
    for size in (MAX_MESSAGE + 1, 2**20):
        yield role, compressing(their_message_is_too_long), contexts, size
    for frames in ("one frame", "many frames"):
        yield role, compressing(our_message_is_too_long), contexts, frames
    for function in (incompressible_fragments, similar_messages, their_pings, our_pings, their_abort,
                     messages_before_their_close, messages_before_our_close, many_in_flight, fifty_connections):
        yield role, compressing(function), contexts


sys.exit(run(f"websockets {websockets.__version__}", World.running(), checks()))
