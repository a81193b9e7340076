"""Conversations between Sockeye and Python's `websockets`, in both roles. tests/interoperability/run starts this."""

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

MAX_MESSAGE = 16 * 2**20  # Sockeye's default, and what the other side is set to
SIZES = [0, 1, 125, 126, 65535, 65536, 2**20, MAX_MESSAGE]
LONGEST_REASON = "🐟" * 30 + "end"
CLOSES = [(0, ""), (1000, ""), (1000, "bye"), (1001, "gone"), (1002, ""), (1003, ""), (1007, ""), (1008, "no"),
          (1009, ""), (1010, ""), (1011, "größer"), (1012, ""), (1013, ""), (1014, ""), (3000, ""), (3999, "x"),
          (4000, ""), (4999, LONGEST_REASON)]
PROTOCOLS = ["chat.v2", "chat.v1"]
numbers = itertools.count()
OF_CLIENTS, OF_SERVERS = encryption()
assert len(LONGEST_REASON.encode()) == 123


class World:
    """What all conversations share: Sockeyes with different settings, and servers for Sockeye's clients."""

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls):
        choosy = {"subprotocols": PROTOCOLS, "origins": ["http://good.example"]}
        async with (cls.of_one_mind() as self, Sockeye.running(**choosy) as self.choosy,
                    cls.of_one_mind(deflate=True) as keeping, cls.of_one_mind(deflate=False) as resetting,
                    self.server(subprotocols=["other", "chat.v1"]) as self.chat_url,
                    self.server(select_subprotocol=lambda *_: "surprise") as self.surprise_url,
                    self.server(process_request=basic_auth(credentials=("fish", "s3cr:t"))) as self.private_url):
            self.compressing = {"keeping contexts": keeping, "without contexts": resetting}
            yield self

    @classmethod
    @contextlib.asynccontextmanager
    async def of_one_mind(cls, **settings):
        """The part of it in which all have the same opinion of compression."""
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

        options = {"process_request": refuse, "max_size": MAX_MESSAGE, **OF_SERVERS, **options}
        async with serve(keep, "127.0.0.1", 0, **options) as server:
            yield "{}://127.0.0.1:{}".format(SCHEME, server.sockets[0].getsockname()[1])

    def arrival(self, name):
        return self.arrivals.setdefault(name, asyncio.get_running_loop().create_future())

    @contextlib.asynccontextmanager
    async def link(self, role, sockeye=None, url=None, **options):
        """An open connection with Sockeye in this role; it is closed at the end, and both sides must be done then."""
        sockeye, name = sockeye or self.plain, f"/{next(numbers)}"
        if role == "server":
            url = f"{SCHEME}://127.0.0.1:{sockeye.port}{name}"
            theirs = await connect(url, max_size=MAX_MESSAGE, proxy=None, **OF_CLIENTS, **options)
        else:
            sockeye.say(connect=(url or self.url) + name)
            theirs = await asyncio.wait_for(self.arrival(name), LIMIT)
        opened = await sockeye.event(name, "open")
        assert opened["role"] == role, opened
        assert len(theirs.protocol.extensions) == len(opened["extensions"]) == int(self.compresses), opened
        yield SimpleNamespace(
            theirs=theirs, opened=opened, compresses=self.compresses,
            say=lambda **order: sockeye.say(to=name, **order), event=lambda kind: sockeye.event(name, kind),
            count=lambda kind: sockeye.count(name, kind))
        await closed(theirs)
        await sockeye.event(name, "lost")


async def closed(theirs, code=1000, reason=""):
    """Closes, and does not wait for it longer than a peer with manners needs."""
    await asyncio.wait_for(theirs.close(code, reason), LIMIT)


def compressing(function):
    """The conversation in a part of the world where messages are compressed."""
    @functools.wraps(function)
    async def conversation(world, role, contexts, *more):
        await function(world.compressing[contexts], role, *more)
    return conversation


async def compression_is_declined(world, role):
    async with world.link(role) as link:
        # Their client offers permessage-deflate by default.
        offer = [extension.split(";")[0] for extension in link.opened["offered_extensions"]]
        assert offer == (["permessage-deflate"] if role == "server" else []), offer
        await echo(link, text_of(1000), "text", 1000)


async def noise_in_pieces(world, role):
    """What cannot be compressed is not sent compressed, or comes in many fragments."""
    async with world.link(role, sockeye=world.pieces) as link:
        for _ in range(3):
            await echo(link, random.randbytes(12345), "binary", 12345)
            await echo(link, text_of(12345), "text", 12345)


async def messages_that_resemble_each_other(world, role):
    async with world.link(role) as link:
        for number in range(100):
            message = f"the quick brown fish {number} " * number
            await echo(link, message, "text", len(message))


async def parameters(world, role, theirs):
    """What theirs wants of the extension: an offer to our server, or an answer to our client."""
    options = {"extensions": [theirs.factory], "compression": None}
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(world.server(**options)) if role == "client" else None
        link = await stack.enter_async_context(world.link(role, url=url, **(options if role == "server" else {})))
        for _ in range(3):
            await echo(link, text_of(100_000), "text", 100_000)


class Parameters:
    """One set of their parameters."""

    def __init__(self, role, **wanted):
        self.wanted = wanted
        self.factory = (ClientPerMessageDeflateFactory if role == "server" else ServerPerMessageDeflateFactory)(**wanted)

    def __str__(self):
        return str(self.wanted)


def all_parameters(role):
    for server, client, bits in itertools.product((False, True), (False, True), (None, 9, 12, 15)):
        yield Parameters(role, server_no_context_takeover=server, client_no_context_takeover=client,
                         server_max_window_bits=bits, client_max_window_bits=bits)


async def echoes(world, role, kind, size):
    async with world.link(role, sockeye=world.whole) as link:
        await echo(link, text_of(size) if kind == "text" else bytes_of(size), kind, size)


async def echo(link, message, kind, size, frames=1):
    await link.theirs.send(message)
    heard = await link.event("message")
    assert (heard["kind"], heard["len"], heard["frames"]) == (kind, size, frames), heard
    assert heard["compressed"] == link.compresses, heard
    answer = await link.theirs.recv()
    # An assertion on the messages themselves would print them.
    is_same = answer == message
    assert is_same, f"{len(message)} sent, {len(answer)} of {type(answer)} received"


async def their_fragments(world, role, kind):
    """Fragments of seven bytes cut characters in two; some are empty, and a Ping stands between others."""
    async with world.link(role) as link:
        message = text_of(1003).encode() if kind == "text" else bytes_of(1003)
        pieces = [b"", *pieces_of(message, 7), b""]
        pongs = []

        async def spoken():
            for number, piece in enumerate(pieces):
                if number % 50 == 3:
                    pongs.append(await link.theirs.ping(f"between {number}"))
                yield piece

        await link.theirs.send(spoken(), text=kind == "text")
        await asyncio.gather(*pongs)
        heard = await link.event("message")
        # Theirs ends each message with an empty frame.
        assert (heard["kind"], heard["len"], heard["frames"]) == (kind, 1003, len(pieces) + 1), heard
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
            link.say(ping=payload)
            assert (await link.event("pong"))["payload"] == payload
        link.say(pong="unsolicited")
        link.say(ping="p" * 126)
        await link.event("refused")
        await echo(link, "still there", "text", 11)


async def their_close(world, role, code, reason):
    async with world.link(role) as link:
        await closed(link.theirs, code or None, reason)
        heard = await link.event("close")
        assert (heard["code"], heard["reason"]) == (code or 1005, reason), heard
        # §5.5.1: the answer has the same code.
        assert link.theirs.close_code == (code or 1005), link.theirs.close_code
        assert link.count("error") == 0


async def our_close(world, role, code, reason):
    async with world.link(role) as link:
        link.say(close=code, reason=reason)
        await asyncio.wait_for(link.theirs.wait_closed(), LIMIT)
        heard = link.theirs.close_code, link.theirs.close_reason
        assert heard == (code or 1005, reason), heard
        assert (await link.event("close"))["code"] == (code or 1005)
        assert link.count("error") == 0


async def both_close(world, role):
    async with world.link(role) as link:
        link.say(close=3001, reason="ours")
        await closed(link.theirs, 3002, "theirs")
        heard, reported = link.theirs.close_code, (await link.event("close"))["code"]
        assert (heard, reported) in [(3001, 3002), (3001, 3001), (3002, 3002)], (heard, reported)


async def they_vanish(world, role):
    async with world.link(role) as link:
        link.theirs.transport.abort()
        assert (await link.event("close"))["code"] == 1006


async def unsendable_closes(world, role):
    async with world.link(role) as link:
        for code, reason in [(1004, ""), (1006, ""), (999, ""), (5000, ""), (1000, "x" * 124)]:
            link.say(close=code, reason=reason)
            await link.event("refused")
        await echo(link, "still there", "text", 11)


async def words_before_their_close(world, role):
    async with world.link(role) as link:
        hearing = asyncio.create_task(everything(link.theirs))
        for number in range(1000):
            await link.theirs.send(str(number))
        await closed(link.theirs)
        heard = await hearing
        assert heard == [str(number) for number in range(1000)], heard[-3:]
        assert (await link.event("close"))["code"] == 1000


async def everything(theirs):
    return [message async for message in theirs]


async def words_before_our_close(world, role):
    async with world.link(role) as link:
        link.say(count=1000)
        link.say(close=1000)
        heard = await everything(link.theirs)
        assert heard == [str(number) for number in range(1000)], heard[-3:]
        assert link.theirs.close_code == 1000


async def they_say_too_much(world, role, size):
    """Theirs sends one byte too many, in frames of this size: 1009, and it arrives although theirs is still talking."""
    async with world.link(role) as link:
        with contextlib.suppress(ConnectionClosed):
            await link.theirs.send(pieces_of(bytes(MAX_MESSAGE + 1), size))
        await asyncio.wait_for(link.theirs.wait_closed(), LIMIT)
        assert link.theirs.close_code == 1009, link.theirs.close_code
        assert (await link.event("error"))["kind"] == "Capacity"
        assert (await link.event("close"))["code"] == 1006


async def we_say_too_much(world, role, frames):
    async with world.link(role, sockeye=world.whole if frames == "one frame" else world.plain) as link:
        link.say(bytes=MAX_MESSAGE + 1)
        # They notice only while somebody receives.
        with contextlib.suppress(ConnectionClosed):
            await link.theirs.recv()
        assert link.theirs.protocol.close_sent.code == 1009
        assert (await link.event("close"))["code"] == 1009


async def many_in_flight(world, role):
    async with world.link(role) as link:
        async def talk():
            for number in range(10_000):
                await link.theirs.send(str(number))

        talking = asyncio.create_task(talk())
        heard = [await link.theirs.recv() for _ in range(10_000)]
        await talking
        assert heard == [str(number) for number in range(10_000)]


async def fifty_at_once(world, role):
    async def one(number):
        async with world.link(role) as link:
            for size in range(number, 40_000, 2000):
                await echo(link, text_of(size), "text", size)

    await asyncio.gather(*(one(number) for number in range(50)))


async def subprotocols(world, role):
    if role == "server":
        # Sockeye's order decides; it takes none that it does not know.
        for offered, expected in [(["chat.v1", "chat.v2"], "chat.v2"), (["x", "chat.v1"], "chat.v1"), (["x"], None)]:
            async with world.link(role, sockeye=world.choosy, subprotocols=offered) as link:
                assert link.theirs.subprotocol == link.opened["subprotocol"] == expected, link.opened
    else:
        for url, expected in [(world.chat_url, "chat.v1"), (world.url, None)]:
            async with world.link(role, sockeye=world.choosy, url=url) as link:
                assert link.theirs.subprotocol == link.opened["subprotocol"] == expected, link.opened


async def refused(world, role):
    name = f"/refuse/{next(numbers)}"
    if role == "server":
        await is_refused(f"{SCHEME}://127.0.0.1:{world.plain.port}{name}")
    else:
        await rejects(world.plain, world.url + name, name, 403)


async def wrong_origin(world, role):
    url = f"{SCHEME}://127.0.0.1:{world.choosy.port}/{next(numbers)}"
    await is_refused(url, origin="http://evil.example", body=None)
    async with connect(url, origin="http://good.example", proxy=None, **OF_CLIENTS) as theirs:
        await theirs.send("hello")
        assert await theirs.recv() == "hello"


async def is_refused(url, body=b"not today", **options):
    try:
        async with connect(url, proxy=None, **OF_CLIENTS, **options):
            raise AssertionError("it was not refused")
    except InvalidStatus as refusal:
        assert refusal.response.status_code == 403, refusal.response
        assert body is None or refusal.response.body == body, refusal.response


async def rejects(sockeye, url, name, status):
    """Sockeye, a client, is answered with this status: no connection opens, so that none closes."""
    sockeye.say(connect=url)
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


async def a_subprotocol_nobody_offered(world, role):
    name = f"/{next(numbers)}"
    world.plain.say(connect=world.surprise_url + name)
    assert (await world.plain.event(name, "error"))["kind"] == "Protocol"
    await world.plain.event(name, "lost")
    assert world.plain.count(name, "open") == 0


async def shutdown(world, role):
    """All connections receive earlier messages, and 1001."""
    async with contextlib.AsyncExitStack() as stack:
        sockeye = await stack.enter_async_context(Sockeye.running())
        links = [await stack.enter_async_context(world.link(role, sockeye=sockeye)) for _ in range(10)]
        hearing = asyncio.gather(*(everything(link.theirs) for link in links))
        for link in links:
            link.say(count=1000)
        await sockeye.end()
        assert [len(heard) for heard in await hearing] == [1000] * 10
        for link in links:
            assert link.theirs.close_code == 1001, link.theirs.close_code


def checks():
    """Returns all conversations: the role of Sockeye, the function, what else it takes."""
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
            yield role, they_say_too_much, size
        for frames in ("one frame", "many frames"):
            yield role, we_say_too_much, frames
        for function in (compression_is_declined, their_pings, our_pings, both_close, they_vanish, unsendable_closes,
                         words_before_their_close, words_before_our_close, many_in_flight, fifty_at_once, subprotocols,
                         refused, shutdown):
            yield role, function
        for contexts in ("keeping contexts", "without contexts"):
            yield from compressed(role, contexts)
        for theirs in all_parameters(role):
            yield role, compressing(parameters), "keeping contexts", theirs
    yield "server", wrong_origin
    yield "client", credentials
    yield "client", a_subprotocol_nobody_offered


def compressed(role, contexts):
    """Returns the conversations in which messages are compressed."""
    for kind, size in itertools.product(("text", "binary"), SIZES):
        yield role, compressing(echoes), contexts, kind, size
    for kind in ("text", "binary"):
        yield role, compressing(their_fragments), contexts, kind
    for close, function in itertools.product(CLOSES, (their_close, our_close)):
        yield role, compressing(function), contexts, *close
    for size in (MAX_MESSAGE + 1, 2**20):
        yield role, compressing(they_say_too_much), contexts, size
    for frames in ("one frame", "many frames"):
        yield role, compressing(we_say_too_much), contexts, frames
    for function in (noise_in_pieces, messages_that_resemble_each_other, their_pings, our_pings, they_vanish,
                     words_before_their_close, words_before_our_close, many_in_flight, fifty_at_once):
        yield role, compressing(function), contexts


sys.exit(run(f"websockets {websockets.__version__}", World.running(), checks()))
