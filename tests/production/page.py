"""The configuration files on docs/production.md."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "production.md"


def block(beginning):
    """Returns the only code block on the page whose first line begins like this."""
    blocks = re.findall(r"^```\w+\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    found = [text for text in blocks if text.startswith(beginning)]
    assert len(found) == 1, f"{len(found)} code blocks on {PAGE.name} begin with {beginning!r}"
    return found[0]


def replaced(text, replacements):
    """Replaces ports, paths, names and times. Each of them must occur, so that a change of the page is noticed here."""
    for before, after in replacements.items():
        assert before in text, f"{before!r} does not occur on {PAGE.name}"
        text = text.replace(before, after)
    return text


def values(unit, name):
    """Returns the values of a setting in a unit file of systemd."""
    return re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)


SOCKET = block("[Unit]\nDescription=Sockets")
SERVICE = block("[Unit]\nDescription=Chat server")
NGINX = block("# The header Connection")
CADDY = block("{\n    servers {")
HAPROXY = block("global\n")
# The backend for the PROXY protocol replaces the last section of the other file.
HAPROXY_WITH_HEADERS = HAPROXY[:HAPROXY.index("\nbackend chat\n") + 1] + block("backend chat\n")
