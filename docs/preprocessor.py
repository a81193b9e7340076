#!/usr/bin/env python3
"""A preprocessor of mdBook: adds the pages outside of this folder to which the guide links.

Links work in the repository and in the book. A link to a file that is not in the book, such as a source file, becomes plain text.
"""

import json
import posixpath
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The folder of the guide in the repository, and the folder of the added pages in the book.
GUIDE, ADDED = "docs", "repository"
# The added pages with their titles, in the order of the book.
PAGES = {"MIGRATING.md": "Migrating from ws: every difference", "SECURITY.md": "Security: guarantees and reports",
         "examples/README.md": "Examples", "CHANGELOG.md": "Changelog", "ARCHITECTURE.md": "Architecture",
         "CONTRIBUTING.md": "Contributing"}
FENCE = re.compile(r"^(```+|~~~+).*?^\1\s*?$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[((?:[^\]\[`]|`[^`]*`|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def main():
    if sys.argv[1:2] == ["supports"]:
        return
    _, book = json.load(sys.stdin)
    # `sections` until mdBook 0.4.
    items = book["items"] if "items" in book else book["sections"]
    for chapter in chapters(items):
        chapter["content"] = with_links(chapter["content"], f"{GUIDE}/{chapter['source_path']}", chapter["path"])
    items.append({"PartTitle": "The repository"})
    for page, title in PAGES.items():
        path = place_of(page)
        content = with_links((ROOT / page).read_text(), page, path)
        items.append({"Chapter": {"name": title, "content": content, "number": None, "sub_items": [], "path": path,
                                  "source_path": path, "parent_names": []}})
    json.dump(book, sys.stdout)


def chapters(items):
    for item in items:
        if isinstance(item, dict) and "Chapter" in item and item["Chapter"]["path"]:
            yield item["Chapter"]
            yield from chapters(item["Chapter"]["sub_items"])


def place_of(file):
    """Returns where a file of the repository is in the book, or `None` if it is not there."""
    if file in PAGES:
        return f"{ADDED}/{file}"
    is_in_guide = file.startswith(f"{GUIDE}/") and (ROOT / file).is_file()
    return file.removeprefix(f"{GUIDE}/") if is_in_guide else None


def with_links(text, page, place):
    """Returns the text of a page of the repository, with links for its place in the book. Code stays as it is."""
    result, end = [], 0
    for fence in FENCE.finditer(text):
        result += [LINK.sub(lambda link: changed(link, page, place), text[end:fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*result, LINK.sub(lambda link: changed(link, page, place), text[end:])])


def changed(link, page, place):
    mark, label, target = link.groups()
    if target.startswith("#") or re.match(r"[a-z][a-z0-9+.-]*:", target):
        return link[0]
    file, hash_sign, anchor = target.partition("#")
    there = place_of(posixpath.normpath(posixpath.join(posixpath.dirname(page), file)))
    if there is None:
        return label
    return f"{mark}[{label}]({posixpath.relpath(there, posixpath.dirname(place) or '.')}{hash_sign}{anchor})"


if __name__ == "__main__":
    main()
