"""The text of an EPUB: its chapters in the order of reading, their headings marked.

Source: EPUB 3.3 (W3C, 2023): container, package document, spine. Of XML no entity may be declared, and nothing outside
of the file is asked for.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from html.entities import html5
from urllib.parse import unquote
from xml.parsers import expat

from clone.core.errors import Refused
from clone.studio.archives import Archive, damaged, encrypted

BOOK = "The book"
DIRECTIONS_MAX_BYTES = 2_000_000
"""Of the files that say where things are."""
DEPTH_MAX = 256
CONTAINER, ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html")
_ENCODINGS = {"utf-8", "utf8", "utf-16", "us-ascii", "ascii", "iso-8859-1", "windows-1252"}
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,100}encoding\s*=\s*["']([\w-]{1,20})["']""")
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31};)")
_OF_XML = {"amp;", "lt;", "gt;", "quot;", "apos;"}

_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_BLOCKS = {
    *_HEADINGS, "p", "div", "section", "article", "body", "li", "ul", "ol", "dl", "dt", "dd", "blockquote", "figure",
    "figcaption", "table", "tr", "pre", "hr", "aside", "header", "footer", "main", "br",
}  # fmt: skip
_UNSAID = {"head", "script", "style", "nav", "svg", "math", "rt", "rp", "audio", "video", "object", "iframe"}

Attributes = Mapping[str, str]


def read_book(archive: Archive) -> tuple[str, str]:
    """Return the title and the text of a book, a paragraph a line.

    Raises:
        Refused: as Archive.read(); ``damaged_file``, it is no EPUB; ``declares_entities``; ``encrypted_file``.
    """
    roots = [
        a["full-path"]
        for tag, a in _elements(archive.read(CONTAINER, DIRECTIONS_MAX_BYTES))
        if tag == "rootfile" and "full-path" in a
    ]
    if not roots:
        raise damaged(BOOK)
    package, title = archive.read(roots[0], DIRECTIONS_MAX_BYTES), _Title()
    elements = _elements(package, title.text)
    manifest = {a["id"]: a for tag, a in elements if tag == "item" and "id" in a}
    spine = [manifest.get(a.get("idref", "")) for tag, a in elements if tag == "itemref" and a.get("linear") != "no"]
    names = [_inside(roots[0], item.get("href", "")) for item in spine if item and item.get("media-type") in _PAGES]
    if ENCRYPTION in archive.names and _encrypted(archive) & set(names):
        raise encrypted(BOOK)
    return title.found, "\n".join(line for name in names for line in _Page(archive.read(name)).lines)


class _Title:
    """The first dc:title of a package document."""

    found = ""

    def text(self, tag: str, text: str) -> None:
        if tag == "title" and not self.found:
            self.found = text


class _Page:
    """The lines that are read of a page."""

    def __init__(self, data: bytes) -> None:
        self.lines: list[str] = []
        self._line: list[str] = []
        self._mark = ""
        self._unsaid = 0
        _parse(data, self._start, self._end, self._text)
        self._break()

    def _start(self, tag: str, _attributes: Attributes) -> None:
        self._unsaid += tag in _UNSAID
        if tag in _BLOCKS:
            self._break()
            self._mark = _HEADINGS.get(tag, "")

    def _end(self, tag: str) -> None:
        self._unsaid -= tag in _UNSAID
        if tag in _BLOCKS:
            self._break()

    def _text(self, text: str) -> None:
        if not self._unsaid:
            self._line.append(text)

    def _break(self) -> None:
        said = " ".join("".join(self._line).split())
        if said:
            self.lines.append(self._mark + said)
            self._mark = ""
        self._line = []


def _inside(package: str, href: str) -> str:
    """Return the name in the archive of what a package document calls so; outside of it there is nothing."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(package), unquote(href.partition("#")[0])))


def _encrypted(archive: Archive) -> set[str]:
    return {
        unquote(a.get("URI", ""))
        for tag, a in _elements(archive.read(ENCRYPTION, DIRECTIONS_MAX_BYTES))
        if tag == "CipherReference"
    }


def _elements(data: bytes, text: Callable[[str, str], None] = lambda tag, text: None) -> list[tuple[str, Attributes]]:
    """Return the elements of a document in order, without namespaces; ``text`` is told what stands in each."""
    found: list[tuple[str, Attributes]] = []
    _parse(data, lambda tag, a: found.append((tag, a)), lambda tag: None, lambda said: text(found[-1][0], said.strip()))
    return found


def _parse(
    data: bytes,
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None],
    text: Callable[[str], None],
) -> None:
    def local(tag: str) -> str:
        return tag.rpartition(":")[2]

    def declares(*_: object) -> None:
        raise Refused(
            "The book declares entities of its own, which are not read.",
            code="declares_entities",
            field="file",
            advice="Convert it with an e-book program, or give its text.",
        )

    depth = 0

    def starts(tag: str, attributes: Attributes) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH_MAX:
            raise damaged(BOOK)
        start(local(tag), attributes)

    def ends(tag: str) -> None:
        nonlocal depth
        depth -= 1
        end(local(tag))

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = starts, ends
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = declares
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    try:
        parser.Parse(_unnamed(_decoded(data)), True)
    except (expat.ExpatError, UnicodeError):
        raise damaged(BOOK) from None


def _decoded(data: bytes) -> str:
    declared = _DECLARED.match(data)
    encoding = declared[1].decode().lower() if declared else "utf-8"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    if encoding not in _ENCODINGS:
        raise damaged(BOOK)
    return data.decode("utf-8-sig" if encoding in ("utf-8", "utf8") else encoding)


def _unnamed(text: str) -> str:
    """Return XML in which the characters that HTML has names for stand as themselves."""
    return _ENTITY.sub(lambda found: found[0] if found[1] in _OF_XML else html5.get(found[1], found[0]), text)
