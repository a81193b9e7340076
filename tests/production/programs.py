"""The programs that the tests start: the server, nginx, HAProxy, Caddy and systemd-socket-activate."""

import asyncio
import contextlib
import getpass
import grp
import os
import shutil
import socket
import tempfile
from pathlib import Path

import page
from process import Process

SERVER = os.environ["SERVER"]
SCRATCH = Path(os.environ["SCRATCH"])
# The limit for each wait in seconds. It only detects a hang.
LIMIT = 30
# The time after which nginx and HAProxy close a silent WebSocket, in place of 75 s. On a busy host, Pings of a second may be late.
SILENCE = 10


class Program(Process):
    """A process, and the lines that it prints."""

    def __init__(self):
        self.lines = []
        self.printed = asyncio.Condition()

    @classmethod
    def running(cls, *command, **options):
        return super().running(*command, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.STDOUT, **options)

    async def receive(self, line):
        async with self.printed:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))
            self.printed.notify_all()

    def count(self, text):
        return sum(text in line for line in self.lines)

    async def line(self, text, number=1):
        """Waits for the line with this text, or for a later one of several, and returns it."""
        async with self.printed:
            try:
                await asyncio.wait_for(self.printed.wait_for(lambda: self.count(text) >= number), LIMIT)
            except TimeoutError:
                raise AssertionError(f"the line {text!r} is not printed {number} times: {self.lines}") from None
        return [line for line in self.lines if text in line][number - 1]

    def signal(self, signal):
        self.process.send_signal(signal)

    async def ended(self):
        """Waits for the end, and returns the exit status."""
        return await asyncio.wait_for(self.process.wait(), LIMIT)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.asynccontextmanager
async def server(*options, **environment):
    """Runs the server on a free port."""
    async with Program.running(SERVER, "127.0.0.1:0", *options, env={**os.environ, **environment}) as program:
        program.port = int((await program.line("listening on")).rsplit(":", 1)[1])
        program.address = f"127.0.0.1:{program.port}"
        yield program


@contextlib.asynccontextmanager
async def proxy(kind, one, two):
    """Runs a proxy with the configuration of the page, in front of two addresses."""
    for attempt in range(3):
        folder = Path(tempfile.mkdtemp(dir=SCRATCH))
        port = free_port()
        command, variables = PROXIES[kind](folder, port, one, two)
        async with Program.running(*command, env={**os.environ, **variables}) as program:
            if await is_listening(program, port):
                program.port, program.folder = port, folder
                yield program
                return
        # Another program has taken the port in the meantime.
        assert "in use" in str(program.lines) and attempt < 2, f"{kind} does not start: {program.lines}"


async def is_listening(program, port):
    """Waits until the program accepts connections. Returns whether it has not exited before."""
    while program.is_running():
        with contextlib.suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        await asyncio.sleep(0.02)
    await program.reading
    return False


def nginx(folder, port, one, two):
    (folder / "chat.conf").write_text(page.replaced(page.NGINX, {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/chat/": f"{SCRATCH}/",
        "server 127.0.0.1:3012 ": f"server {one} ",
        "server 127.0.0.1:3013 ": f"server {two} ",
        "timeout 75s": f"timeout {SILENCE}s",
    }))
    kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    user = f"user {getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name};" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text("\n".join([
        user, "daemon off;", "worker_processes 1;", f"pid {folder}/pid;", "error_log stderr;", "events {}", "http {",
        "access_log off;", *(f"{kind}_temp_path {folder}/{kind};" for kind in kinds), f"include {folder}/chat.conf;", "}"]))
    command = [os.environ["NGINX"], "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"]
    return command, {"LD_LIBRARY_PATH": os.environ["PROXY_LIBRARIES"]}


def haproxy(text, folder, port, one, two):
    (folder / "haproxy.cfg").write_text(page.replaced(text, {
        "bind :443 ": f"bind 127.0.0.1:{port} ",
        "/etc/ssl/chat/": f"{SCRATCH}/",
        "/run/haproxy/": f"{folder}/",
        # A test may not be allowed to open 40,000 descriptors.
        "maxconn 20000": "maxconn 200",
        "user haproxy": f"user {getpass.getuser()}",
        "group haproxy": f"group {grp.getgrgid(os.getgid()).gr_name}",
        "server one 127.0.0.1:3012": f"server one {one}",
        "server two 127.0.0.1:3013": f"server two {two}",
        "timeout tunnel 75s": f"timeout tunnel {SILENCE}s",
    }))
    return [os.environ["HAPROXY"], "-db", "-f", folder / "haproxy.cfg"], {"LD_LIBRARY_PATH": os.environ["PROXY_LIBRARIES"]}


def caddy(folder, port, one, two):
    (folder / "Caddyfile").write_text(page.replaced(page.CADDY, {
        # Without its interface for changes at run time, which has a fixed port.
        "{\n    servers {": "{\n    admin off\n    servers {",
        "chat.example.com {": f":{port} {{\n    bind 127.0.0.1\n    tls {SCRATCH}/certificate.pem {SCRATCH}/key.pem",
        "127.0.0.1:3012 127.0.0.1:3013": f"{one} {two}",
    }))
    command = [os.environ["CADDY"], "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]
    return command, {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}


PROXIES = {
    "nginx": nginx,
    "Caddy": caddy,
    "HAProxy": lambda *arguments: haproxy(page.HAPROXY, *arguments),
    "HAProxy with PROXY headers": lambda *arguments: haproxy(page.HAPROXY_WITH_HEADERS, *arguments),
}


@contextlib.asynccontextmanager
async def service(listener, environment):
    """Runs ExecStart= of the unit with a socket, as systemd does."""
    descriptor = listener.fileno()
    # The shell gives the socket the number 3. Its process becomes the service, so LISTEN_PID is correct.
    script = f'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@" 3<&{descriptor}'
    async with Program.running("bash", "-c", script, "bash", *exec_start(), pass_fds=[descriptor],
                               env={**os.environ, **environment}) as program:
        yield program


@contextlib.asynccontextmanager
async def activated(environment):
    """Runs ExecStart= of the unit with systemd-socket-activate, at the first connection. Yields `None` without that program."""
    if not shutil.which("systemd-socket-activate"):
        yield None
        return
    port = free_port()
    variables = [f"--setenv={name}={value}" for name, value in environment.items()]
    command = ["systemd-socket-activate", f"--listen=127.0.0.1:{port}", *variables, *exec_start()]
    async with Program.running(*command) as program:
        await program.line("Listening on")
        program.port = port
        yield program


def exec_start():
    [command] = page.values(page.SERVICE, "ExecStart")
    return page.replaced(command, {"/usr/local/bin/chat": SERVER}).split()
