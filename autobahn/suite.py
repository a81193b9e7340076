"""Finds the Autobahn test suite, or installs it: `$WSTEST`, Python 2.7 and PyPI, or a container.

The suite is written for Python 2.7, which distributions no longer ship. Therefore finding it needs a separate module.
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
VIRTUALENV = "virtualenv==20.15.1"  # the last version that runs under Python 2.7 and creates environments for it
IMAGE = "crossbario/autobahn-testsuite:25.10.1"


class Unavailable(Exception):
    """The suite is not available. The message names the missing parts."""


def find(workdir):
    """Returns the command that starts `wstest`, as a list. `wstest` reads and writes files in the folder `workdir`."""
    if os.environ.get("WSTEST"):
        return from_environment()
    missing = []
    for source in (from_python, lambda: from_container(workdir)):
        try:
            return source()
        except Unavailable as reason:
            missing.append(f"  - {reason}")
    missing.insert(0, "The Autobahn test suite is not available on this machine:\n  - WSTEST is not set")
    missing.append("One of the three is sufficient; see autobahn/README.md.")
    raise Unavailable("\n".join(missing))


def from_environment():
    command = shlex.split(os.environ["WSTEST"])
    if not is_suite(command):
        raise Unavailable(f"WSTEST is set to {shlex.join(command)!r}, but this command does not start the test suite")
    return command


def from_python():
    """Returns `wstest` from the virtual environment in the cache. Creates the environment first if necessary."""
    python = find_python()
    env = cache_folder() / "autobahntestsuite"
    env.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{env}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second run waits here, and then uses the environment of the first one
        if not is_complete(env):
            install(python, env)
    return [str(env / "bin" / "wstest")]


def from_container(workdir):
    docker = shutil.which("docker")
    # The client needs an engine. Some versions of the client exit with 0 without one, so the output is checked as well.
    engine = docker and run_silently([docker, "info", "--format", "{{.ServerVersion}}"])
    if not engine or engine.returncode != 0 or not engine.stdout.strip():
        raise Unavailable("no Docker engine is running (`docker info` does not report one)")
    if run_silently([docker, "image", "inspect", IMAGE]).returncode != 0:
        print(f"fetching the container {IMAGE}", flush=True)
        if run_silently([docker, "pull", IMAGE]).returncode != 0:
            raise Unavailable(f"Docker is running, but `docker pull {IMAGE}` failed")
    # The container uses the host's network, so that 127.0.0.1 is the same inside and outside. It uses the same path, so
    # that a specification is valid inside and outside. It runs as the current user, so that the reports can be deleted.
    # It has an init process, so that the container ends when `docker run` is stopped.
    return [docker, "run", "--rm", "--init", "--network", "host", "--user", f"{os.getuid()}:{os.getgid()}",
            "--env", "HOME=/tmp", "--env", "PYTHONUNBUFFERED=1", "--volume", f"{workdir}:{workdir}", IMAGE, "wstest"]


def find_python():
    """Returns the first Python 2.7 that actually runs. A pyenv shim on the PATH may exist without a Python 2.7."""
    names = [shutil.which("python2.7"), shutil.which("python2")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    names += sorted(pyenv.glob("versions/2.7*/bin/python2.7"))
    check = "import ssl, sys, zlib; sys.exit(sys.version_info[:2] != (2, 7))"
    for python in filter(None, names):
        if run_silently([python, "-c", check]).returncode == 0:
            return str(python)
    raise Unavailable("no Python 2.7 with ssl and zlib was found (python2.7 or python2 on the PATH, or from pyenv)")


def install(python, env):
    """Creates a new virtual environment. The marker is written last. Without it, the next run starts again."""
    print(f"installing the test suite for {python} into {env} (about a minute, once)", flush=True)
    shutil.rmtree(env, ignore_errors=True)
    log = Path(f"{env}.log")
    log.write_text("")
    with tempfile.TemporaryDirectory() as tools:
        created = any(make_env(host, python, env, tools, log) for host in (python, sys.executable))
    pip = [str(env / "bin" / "python"), "-m", "pip", "install", "--requirement", str(REQUIREMENTS)]
    if not created or not run_logged(pip, log) or not is_suite([str(env / "bin" / "wstest")]):
        raise Unavailable(f"Python 2.7 exists ({python}), but the installation from PyPI failed; {log} ends with:\n"
                          + "".join(f"      {line}\n" for line in log.read_text().splitlines()[-5:])
                          + "    (the installation needs PyPI, a C compiler and the header files of that Python)")
    marker(env).write_text(REQUIREMENTS.read_text())


def make_env(host, python, env, tools, log):
    """Creates an empty environment for `python` with a virtualenv that `host` runs. Returns whether this succeeded."""
    target = Path(tools) / Path(host).name
    if not run_logged([host, "-m", "pip", "install", "--target", str(target), VIRTUALENV], log):
        return False
    # virtualenv stores its data in the temporary folder and runs no updates in the background, so that nothing remains
    # after the installation.
    options = ["--app-data", str(target / "app-data"), "--no-periodic-update", "--python", python]
    return run_logged([host, "-m", "virtualenv", *options, str(env)], log, PYTHONPATH=str(target))


def is_complete(env):
    """Returns whether the environment was completed with these requirements and still works."""
    current = marker(env).exists() and marker(env).read_text() == REQUIREMENTS.read_text()
    return current and is_suite([str(env / "bin" / "wstest")])


def marker(env):
    return env / "sockeye-complete"


def cache_folder():
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("SOCKEYE_CACHE") or home / "sockeye").absolute()


def is_suite(command):
    result = run_silently([*command, "--autobahnversion"])
    return result.returncode == 0 and "AutobahnTestSuite" in result.stdout


def run_silently(command):
    """Runs a command and waits for it, without output. A missing program is reported as a command that failed."""
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              encoding="utf-8", errors="replace", env=clean_environment())
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def run_logged(command, log, **variables):
    """Runs a command, waits for it, and appends its output to the log. Returns whether the command succeeded."""
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
        except BaseException:  # after an interrupt, the children of pip, such as a compiler, are stopped as well
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise


def clean_environment():
    """Returns the environment without the variables that may be set for Python 3."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
