"""Finds the Autobahn test suite, or installs it: `$WSTEST`, Python 2.7 and PyPI, or a container.

The suite is written for Python 2.7, which nobody ships any more. That is why this takes a file of its own.
"""

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
VIRTUALENV = "virtualenv==20.15.1"  # the last one that runs under Python 2.7 and creates environments for it
IMAGE = "crossbario/autobahn-testsuite:25.10.1"


class Unavailable(Exception):
    """The suite is not available. The message names what is missing."""


def find(workdir):
    """Returns the command that starts `wstest`, as a list; `workdir` is the folder it has to read and write."""
    if os.environ.get("WSTEST"):
        return from_environment()
    missing = []
    for source in (from_python, lambda: from_container(workdir)):
        try:
            return source()
        except Unavailable as reason:
            missing.append(f"  - {reason}")
    missing.insert(0, "The Autobahn test suite is not to be had on this machine:\n  - WSTEST is not set")
    missing.append("Any one of the three is enough; see autobahn/README.md.")
    raise Unavailable("\n".join(missing))


def from_environment():
    command = shlex.split(os.environ["WSTEST"])
    if not runs(command):
        raise Unavailable(f"WSTEST is set to {shlex.join(command)!r}, but that does not start the test suite")
    return command


def from_python():
    """Returns `wstest` of our own virtual environment, which is made first if need be."""
    python = find_python()
    env = cache_folder() / "autobahntestsuite"
    env.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{env}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once: the second waits and finds the environment made
        if not is_complete(env):
            install(python, env)
    return [str(env / "bin" / "wstest")]


def from_container(workdir):
    docker = shutil.which("docker")
    # The client alone is no use, and its `info` must name an engine: some versions exit with 0 without one.
    engine = docker and attempt([docker, "info", "--format", "{{.ServerVersion}}"])
    if not engine or engine.returncode != 0 or not engine.stdout.strip():
        raise Unavailable("no Docker engine runs here (`docker info` finds none)")
    if attempt([docker, "image", "inspect", IMAGE]).returncode != 0:
        print(f"fetching the container {IMAGE}", flush=True)
        if attempt([docker, "pull", IMAGE]).returncode != 0:
            raise Unavailable(f"Docker runs, but `docker pull {IMAGE}` failed")
    # The host's network, so that 127.0.0.1 is the same place inside and outside; the same path inside and outside, so
    # that a specification means the same; our own user, so that the reports can be deleted; an init process, so that
    # ending `docker run` ends the container.
    return [docker, "run", "--rm", "--init", "--network", "host", "--user", f"{os.getuid()}:{os.getgid()}",
            "--env", "HOME=/tmp", "--env", "PYTHONUNBUFFERED=1", "--volume", f"{workdir}:{workdir}", IMAGE, "wstest"]


def find_python():
    """Returns the first Python 2.7 that really runs: a pyenv shim on the PATH may be an empty promise."""
    names = [shutil.which("python2.7"), shutil.which("python2")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    names += sorted(pyenv.glob("versions/2.7*/bin/python2.7"))
    check = "import ssl, sys, zlib; sys.exit(sys.version_info[:2] != (2, 7))"
    for python in filter(None, names):
        if attempt([python, "-c", check]).returncode == 0:
            return str(python)
    raise Unavailable("no Python 2.7 with ssl and zlib (neither python2.7 nor python2 on the PATH, nor one of pyenv's)")


def install(python, env):
    """Makes the virtual environment anew. Its marker is written last: without it, the next run starts over."""
    print(f"installing the test suite for {python} into {env} (about a minute, once)", flush=True)
    shutil.rmtree(env, ignore_errors=True)
    log = Path(f"{env}.log")
    log.write_text("")
    with tempfile.TemporaryDirectory() as tools:
        made = any(make_env(host, python, env, tools, log) for host in (python, sys.executable))
    pip = [str(env / "bin" / "python"), "-m", "pip", "install", "--requirement", str(REQUIREMENTS)]
    if not made or not logged(pip, log) or not runs([str(env / "bin" / "wstest")]):
        raise Unavailable(f"Python 2.7 is here ({python}), but the installation from PyPI failed; {log} ends with:\n"
                          + "".join(f"      {line}\n" for line in log.read_text().splitlines()[-5:])
                          + "    (it needs PyPI, a C compiler and the header files of that Python)")
    marker(env).write_text(REQUIREMENTS.read_text())


def make_env(host, python, env, tools, log):
    """Creates an empty environment for `python` with a virtualenv run by `host`, and returns whether this succeeded."""
    target = Path(tools) / Path(host).name
    if not logged([host, "-m", "pip", "install", "--target", str(target), VIRTUALENV], log):
        return False
    # Its own data beside it and no background updates: nothing of it is to outlive the installation.
    options = ["--app-data", str(target / "app-data"), "--no-periodic-update", "--python", python]
    return logged([host, "-m", "virtualenv", *options, str(env)], log, PYTHONPATH=str(target))


def is_complete(env):
    """Whether the environment was finished, for these requirements, and still works."""
    current = marker(env).exists() and marker(env).read_text() == REQUIREMENTS.read_text()
    return current and runs([str(env / "bin" / "wstest")])


def marker(env):
    return env / "sockeye-complete"


def cache_folder():
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("SOCKEYE_CACHE") or home / "sockeye").absolute()


def runs(command):
    result = attempt([*command, "--autobahnversion"])
    return result.returncode == 0 and "AutobahnTestSuite" in result.stdout


def attempt(command):
    """Runs a command to its end, silently. A program that is not there is just one that failed."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              encoding="utf-8", errors="replace", env=clean_environment())
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def logged(command, log, **variables):
    """Runs a command to its end with its output in the log; returns whether it succeeded."""
    with open(log, "a") as output:
        print(f"$ {shlex.join(command)}", file=output, flush=True)
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                       start_new_session=True, env={**clean_environment(), **variables})
        except OSError as error:
            print(error, file=output)
            return False
        try:
            return process.wait() == 0
        except BaseException:  # interrupted: pip's own children, a compiler for one, end with it
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise


def clean_environment():
    """The environment without what a Python 3 around us may have set for itself."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
