"""Tests of the configuration files on docs/production.md. tests/production/run starts this script."""

import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import ssl
import sys
import tempfile
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

from harness import Score, bytes_of, text_of

import page
from programs import LIMIT, PROXIES, SCRATCH, SERVER, SILENCE, Program, activated, proxy, server, service

# A client of the proxies. The proxies themselves connect from 127.0.0.1.
CLIENT = "127.0.0.2"
# Where the server would believe the client to be, if it believed what the client sends.
FORGED = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
SIZES = [0, 1, 125, 70_000, 5 * 2**20]
TLS = ssl.create_default_context(cafile=SCRATCH / "certificate.pem")


class Client(ClientConnection):
    """A connection that counts the Pings that it receives."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.pings = asyncio.Semaphore(0)

    def process_event(self, event):
        if getattr(event, "opcode", None) is Opcode.PING:
            self.pings.release()
        super().process_event(event)


def client(port, **options):
    """Connects to a proxy, and ignores the variables for another one. Pings come from the server only."""
    options = {"ssl": TLS, "local_addr": (CLIENT, 0), **options}
    url = f"wss://127.0.0.1:{port}" if options["ssl"] else f"ws://127.0.0.1:{port}"
    return connect(url, create_connection=Client, proxy=None, ping_interval=None, max_size=2**24, open_timeout=LIMIT,
                   close_timeout=LIMIT, **options)


async def within(awaitable):
    return await asyncio.wait_for(awaitable, LIMIT)


async def page_of(port, path, tls=None):
    """Requests a page, and returns its status and its body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await within(reader.read())).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body


async def check_echo(link, message="hello"):
    await within(link.send(message))
    assert await within(link.recv()) == message


async def check_close(link, code):
    """Waits until the connection is closed with this code."""
    await within(link.wait_closed())
    assert link.close_code == code, f"closed with {link.close_code}"


class Site:
    """A proxy and two servers."""

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, kind, **environment):
        self = cls()
        options = ["--proxy-protocol"] if kind == "HAProxy with PROXY headers" else []
        # The drain takes so long that the test sees connections that are open meanwhile. A second SIGTERM ends it.
        environment = {"PING_SECONDS": "1", "DRAIN_SECONDS": "60", **environment}
        async with (server(*options, **environment) as one, server(*options, **environment) as two,
                    proxy(kind, one.address, two.address) as self.proxy):
            self.servers = [one, two]
            self.port, self.accepts_pages, self.kind = self.proxy.port, not options, kind
            yield self

    def opened(self):
        return [program.count(f"{CLIENT} connected") for program in self.servers]

    async def printed(self, line):
        """Waits until one of the servers has printed this line."""
        async with asyncio.timeout(LIMIT):
            while not any(line in program.lines for program in self.servers):
                await asyncio.sleep(0.01)

    async def open(self, stack, **options):
        """Opens a connection. Returns it, and the server that has it."""
        before = self.opened()
        link = await within(stack.enter_async_context(client(self.port, **options)))
        # The server has printed its line before the response was sent, but this process may not have read it.
        while self.opened() == before:
            await asyncio.sleep(0.01)
        return link, self.servers[[after > count for after, count in zip(self.opened(), before)].index(True)]


async def messages_of_all_sizes(site):
    async with client(site.port) as link:
        for size in SIZES:
            for message in [text_of(size), bytes_of(size), random.Random(size).randbytes(size)]:
                await check_echo(link, message)


async def compression_is_negotiated(site):
    async with client(site.port) as link:
        assert [extension.name for extension in link.protocol.extensions] == ["permessage-deflate"]
        await check_echo(link, "compressed " * 1000)
    async with client(site.port, compression=None) as link:
        assert link.protocol.extensions == []
        await check_echo(link)


async def the_close_code_of_a_client_arrives(site):
    async with client(site.port) as link:
        await link.close(4321, "bye")
        assert link.close_code == 4321
    await site.printed(f"{CLIENT} disconnected: 4321")


async def the_address_of_a_client_is_the_real_one(site):
    for address in ["127.0.0.3", "127.0.0.4"]:
        async with client(site.port, local_addr=(address, 0), additional_headers=FORGED):
            await site.printed(f"{address} connected")
    assert all("203.0.113.9" not in line for each in site.servers for line in each.lines)


async def pings_keep_a_silent_connection_open(site):
    async with client(site.port) as link:
        # A Ping each second: more of them than seconds that the proxy waits.
        for _ in range(SILENCE + 2):
            await within(link.pings.acquire())
        await check_echo(link)


async def pages_pass_except_the_statistics(site):
    assert (await page_of(site.port, "/health", TLS))[0] == 200
    assert (await page_of(site.port, "/live", TLS))[0] == 200
    assert (await page_of(site.port, "/metrics", TLS))[0] == 403
    if site.accepts_pages:
        status, body = await page_of(site.servers[0].port, "/metrics")
        assert status == 200 and b"sockeye_connections_open" in body


async def a_drain_moves_clients_to_the_other_server(site):
    """One server drains, then the other one as well."""
    async with contextlib.AsyncExitStack() as stack:
        links = {program: [] for program in site.servers}
        while min(map(len, links.values())) < 2:
            assert sum(map(len, links.values())) < 20, "the proxy does not distribute clients"
            link, program = await site.open(stack)
            links[program].append(link)
        one, two = site.servers
        one.signal(signal.SIGTERM)
        leaving = links[one]
        await check_first_close(leaving)
        if site.kind == "Caddy":
            await new_clients_are_accepted(site)
        await check_new_clients(site, stack, two)
        if site.accepts_pages:
            status, body = await page_of(one.port, "/health")
            assert status == 503 and body.startswith(b"draining"), body
            assert (await page_of(one.port, "/live"))[0] == 200
        await check_marked_down(site, "one")
        # The proxy leaves them to the server.
        for link in leaving:
            await check_echo(link)
        await check_new_clients(site, stack, two)
        two.signal(signal.SIGTERM)
        await check_first_close(links[two])
        await check_rejected(site)
        await check_marked_down(site, "two")
        await check_rejected(site)
        assert (await page_of(site.port, "/health", TLS))[0] == 503
        for program in site.servers:
            program.signal(signal.SIGTERM)
            for link in links[program]:
                await check_close(link, 1012)
            assert await program.ended() == 0


async def check_first_close(links):
    """A drain closes the first connection at once. Removes it from the list."""
    waiting = {asyncio.create_task(link.wait_closed()): link for link in links}
    done, others = await asyncio.wait(waiting, timeout=LIMIT, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    [closed] = [waiting[task] for task in done]
    assert (closed.close_code, closed.close_reason) == (1012, "shutting down")
    links.remove(closed)
    await check_echo(links[0])


async def check_new_clients(site, stack, expected):
    for _ in range(4):
        link, program = await site.open(stack)
        assert program is expected, "a client of a server that drains"
        await check_echo(link)


async def new_clients_are_accepted(site):
    """Waits until Caddy has seen that a server drains. Until then, it passes the 503 of that server on."""
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                async with client(site.port):
                    return
            except InvalidStatus as refusal:
                assert refusal.response.status_code == 503
            await asyncio.sleep(0.1)


async def check_rejected(site):
    try:
        async with client(site.port):
            raise AssertionError("a client is accepted while all servers drain")
    except InvalidStatus as refusal:
        assert refusal.response.status_code == 503


async def check_marked_down(site, name):
    """Waits until HAProxy has seen that /health answers 503. nginx does not check it."""
    path = site.proxy.folder / "admin.sock"
    if not path.exists():
        return
    async with asyncio.timeout(LIMIT):
        while True:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"show stat\n")
            table = (await reader.read()).decode()
            writer.close()
            [line] = [line.split(",") for line in table.splitlines() if line.startswith(f"chat,{name},")]
            if "DOWN" in line[17]:
                return
            await asyncio.sleep(0.1)


async def without_pings_a_silent_connection_is_closed(kind):
    """Shows that the time in the configuration is used."""
    async with Site.running(kind, PING_SECONDS="60") as site, client(site.port) as link:
        await check_echo(link)
        await check_close(link, 1006)


async def nginx_uses_a_unix_domain_socket(folder):
    path = folder / "chat.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        # nginx may run as another user.
        path.chmod(0o666)
        address = f"unix:{path}"
        async with service(listener, {"NOTICE": ""}) as program, proxy("nginx", address, address) as front:
            async with client(front.port, additional_headers=FORGED) as link:
                await check_echo(link, bytes_of(70_000))
            await program.line(f"{CLIENT} connected")
            assert "203.0.113.9" not in str(program.lines)


async def the_units_are_valid(folder):
    if not shutil.which("systemd-analyze"):
        print("SKIPPED: the verification of the units, which needs systemd-analyze.", file=sys.stderr, flush=True)
        return
    for name, text in [("chat.socket", page.SOCKET), ("chat.service", page.SERVICE)]:
        (folder / name).write_text(text.replace("/usr/local/bin/chat", SERVER))
    # `--man=no`: manual pages may not be installed.
    command = ["systemd-analyze", "verify", "--man=no", folder / "chat.socket", folder / "chat.service"]
    async with Program.running(*command) as program:
        assert await program.ended() == 0, program.lines
        await within(program.reading)
        problems = [line for line in program.lines if "chat" in line]
        assert not problems, problems


async def the_times_of_the_unit_fit_together(_folder):
    [limit] = page.values(page.SERVICE, "TimeoutStopSec")
    over = int(variables()["DRAIN_SECONDS"])
    source = (page.PAGE.parents[1] / "examples" / "production.rs").read_text()
    [rest] = re.findall(r"deadline\(over \+ Duration::from_secs\((\d+)\)\)", source)
    assert int(limit) > over + int(rest)
    assert f"deadline is {over + int(rest)} seconds" in page.SERVICE


def variables():
    return dict(value.split("=", 1) for value in page.values(page.SERVICE, "Environment"))


async def a_service_starts_reloads_and_stops(folder, start):
    """Starts the program as systemd does, and receives its notifications in place of systemd."""
    notice = folder / "notice"
    notice.write_text("first notice\n")
    notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notifications.bind(str(folder / "notify"))
    notifications.setblocking(False)
    environment = {**variables(), "NOTICE": str(notice), "NOTIFY_SOCKET": str(folder / "notify")}
    with notifications:
        async def receive():
            return await within(asyncio.get_running_loop().sock_recv(notifications, 1000))

        async with start(environment) as program:
            if program is None:
                print("SKIPPED: systemd-socket-activate, which is not installed.", file=sys.stderr, flush=True)
                return
            async with client(program.port, ssl=None) as link:
                assert await receive() == b"READY=1"
                assert await within(link.recv()) == "first notice"
                await check_echo(link)
                notice.write_text("second notice\n")
                await reload(program)
                await program.line("the notice has been read", 2)
                async with client(program.port, ssl=None) as second:
                    assert await within(second.recv()) == "second notice"
                await check_echo(link)
                program.signal(signal.SIGTERM)
                assert await receive() == b"STOPPING=1"
                await check_close(link, 1012)
            assert await program.ended() == 0


async def reload(program):
    """Runs the command in ExecReload=."""
    [command] = page.values(page.SERVICE, "ExecReload")
    async with Program.running(*command.replace("$MAINPID", str(program.process.pid)).split()) as reloading:
        assert await reloading.ended() == 0


@contextlib.asynccontextmanager
async def passed(environment):
    """Starts the service, and starts it again after it has ended, as `systemctl restart` does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with service(listener, environment) as program:
            program.port = port
            yield program
        # The socket stays open, so this client waits in its queue.
        waiting = asyncio.create_task(within(client(port, ssl=None)))
        async with service(listener, environment):
            link = await waiting
            assert await within(link.recv()) == "second notice"
            await link.close()


async def run_site(kind, score):
    with score.counting(f"{kind}: starts and ends"):
        async with Site.running(kind) as site:
            checks = [messages_of_all_sizes, compression_is_negotiated, the_close_code_of_a_client_arrives,
                      the_address_of_a_client_is_the_real_one, pings_keep_a_silent_connection_open,
                      pages_pass_except_the_statistics, a_drain_moves_clients_to_the_other_server]
            for check in checks:
                await run_check(score, f"{kind}: {check.__name__}", check(site))


async def run_check(score, name, check):
    with score.counting(name.replace("_", " ")):
        await asyncio.wait_for(check, 5 * LIMIT)


async def run_in_folder(score, name, check, **options):
    await run_check(score, name, check(Path(tempfile.mkdtemp(dir=SCRATCH)), **options))


async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    score = Score()
    silent = without_pings_a_silent_connection_is_closed
    alone = [nginx_uses_a_unix_domain_socket, the_units_are_valid, the_times_of_the_unit_fit_together]
    await asyncio.gather(
        *(run_site(kind, score) for kind in PROXIES),
        *(run_check(score, f"{kind}: {silent.__name__}", silent(kind)) for kind in ["nginx", "HAProxy"]),
        *(run_in_folder(score, check.__name__, check) for check in alone),
        *(run_in_folder(score, f"{start.__name__} sockets: a service starts", a_service_starts_reloads_and_stops, start=start)
          for start in [activated, passed]))
    print(f"docs/production.md: {score.passed} passed, {score.failed} failed", flush=True)
    return 1 if score.failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
