"""The life of a child process, for the tests in Python here and in tests/production."""

import asyncio
import contextlib

# The seconds until a process is killed that does not end after SIGTERM.
TIME_TO_END = 30


class Process:
    """A process whose output is read. A subclass receives the lines, as bytes."""

    running_now = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, *command, **options):
        """Starts a process, and stops it at the end of the block if it still runs. The options are those of `asyncio`."""
        self = cls()
        # A line must fit into the reader's buffer. The longest lines contain text that a test has sent.
        self.process = await asyncio.create_subprocess_exec(*command, limit=2**20, stdout=asyncio.subprocess.PIPE, **options)
        self.reading = asyncio.create_task(self.read())
        self.running_now.add(self)
        try:
            yield self
        finally:
            await self.stop()
            self.reading.cancel()
            self.running_now.discard(self)

    async def read(self):
        async for line in self.process.stdout:
            await self.receive(line)

    async def receive(self, line):
        raise NotImplementedError

    def is_running(self):
        return self.process.returncode is None

    async def stop(self):
        if self.is_running():
            # nginx ends its workers after SIGTERM. A server that drains already ends at once.
            self.process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), TIME_TO_END)
        if self.is_running():
            self.process.kill()
            await self.process.wait()
