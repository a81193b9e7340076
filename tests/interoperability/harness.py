"""Shared code of the tests in Python: the Sockeye process, payloads, and a summary."""

import asyncio
import collections
import contextlib
import json
import os
import ssl
import time
import traceback

from process import Process

# The limit for each wait in seconds. It is shorter than the close timeouts of both sides (ten seconds), so a test that
# relies on these timeouts fails.
LIMIT = 8
TIME_FOR_ALL = 300

# The folder of a certificate for 127.0.0.1, if all connections are encrypted.
TLS = os.environ.get("TLS_FOLDER")
SCHEME = "wss" if TLS else "ws"


def encryption():
    """Returns the TLS options of the other implementation's client and server, which are empty without TLS."""
    if not TLS:
        return {}, {}
    certificate = os.path.join(TLS, "certificate.pem")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, os.path.join(TLS, "key.pem"))
    return {"ssl": ssl.create_default_context(cafile=certificate)}, {"ssl": server}


class Sockeye(Process):
    """A process that executes commands and reports events; peer.rs lists both.

    Events are stored by connection and kind, so that a test can wait for them later.
    """

    def __init__(self):
        self.events = collections.defaultdict(asyncio.Queue)

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, **settings):
        if TLS:
            settings["tls"] = TLS
        command = os.environ["SOCKEYE_PEER"], json.dumps(settings)
        async with super().running(*command, stdin=asyncio.subprocess.PIPE) as self:
            self.port = (await self.event(None, "listening"))["port"]
            yield self
            await self.end()

    async def receive(self, line):
        event = json.loads(line)
        self.events[event.get("name"), event["event"]].put_nowait(event)

    def send_command(self, **command):
        self.process.stdin.write(json.dumps(command).encode() + b"\n")

    async def event(self, name, kind):
        """Waits for the next event of this kind on this connection."""
        try:
            return await asyncio.wait_for(self.events[name, kind].get(), LIMIT)
        except TimeoutError:
            others = {key: queue.qsize() for key, queue in self.events.items() if key[0] == name}
            raise AssertionError(f"Sockeye does not report {kind!r} of {name}; other events: {others}") from None

    def count(self, name, kind):
        """Returns the number of events that no test has waited for."""
        return self.events[name, kind].qsize()

    async def end(self):
        """Asks Sockeye to shut down, and waits until it has exited."""
        self.process.stdin.close()
        code = await asyncio.wait_for(self.process.wait(), LIMIT)
        assert code == 0, f"Sockeye exited with code {code}"


def text_of(size):
    """Returns text of this many bytes, with characters of one to four bytes."""
    return "aé€🐟" * (size // 10) + "x" * (size % 10)


def bytes_of(size):
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def pieces_of(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)]


def run(title, world, checks):
    """Runs all checks in a world, prints the results, and returns the exit status.

    A check consists of the role of Sockeye, a function, and further arguments of the function.
    """
    score = Score()
    with score.counting("all checks were run, and every Sockeye process exited correctly"):
        asyncio.run(run_checks(world, checks, score))
    title += " over TLS" if TLS else ""
    print(f"{title}: {score.passed} passed, {score.failed} failed", flush=True)
    return 1 if score.failed else 0


async def run_checks(world, checks, score):
    deadline = time.monotonic() + TIME_FOR_ALL
    async with world as world:
        for role, function, *more in checks:
            assert time.monotonic() < deadline, "the time limit for all checks has been reached"
            assert all(sockeye.is_running() for sockeye in Sockeye.running_now), "a Sockeye process has exited"
            with score.counting(" ".join(map(str, [role, function.__name__.replace("_", " "), *more]))):
                await asyncio.wait_for(function(world, role, *more), 3 * LIMIT)


class Score:
    """The numbers of checks that passed and failed."""

    passed = failed = 0

    @contextlib.contextmanager
    def counting(self, name):
        try:
            yield
        except Exception:
            self.failed += 1
            print(f"FAILED: {name}", traceback.format_exc(), sep="\n", flush=True)
        else:
            self.passed += 1
