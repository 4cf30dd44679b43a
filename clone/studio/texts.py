"""Texts on their way to be documents: headings and lines of a dialogue are told by how a line begins, files are read.

Of a file comes text in which headings are marked so: a line that begins with ``# `` to ``###### ``. Of an EPUB
these are its chapters, in the order of reading. Source: EPUB 3.3 (W3C, 2023): container, package document, spine. Of
its XML no entity may be declared, and nothing outside of the file is asked for.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html.entities import html5
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote
from xml.parsers import expat

from clone.contract.orders import SpeakOrder
from clone.core.errors import Refused
from clone.engine.g2p import text as reading
from clone.engine.g2p.languages import unreadable
from clone.storage.document import DocumentSentence
from clone.storage.voice import NAME_MAX_CHARS, Voice, one_line
from clone.studio.archives import Archive, check_size, damaged, encrypted

_HEADING = re.compile(r"(#{1,6})\s+(?=\S)")
_COLON = re.compile("[:：]")


@dataclass(frozen=True)
class Speaker:
    """A voice of whom some lines of a text say that they are its: ``n_lines`` begin with its name and a colon."""

    name: str
    voice_id: str
    n_lines: int


def script(order: SpeakOrder, language: str) -> list[DocumentSentence]:
    """Return the sentences of a text that is to be said.

    A line that begins with ``# `` to ``###### `` is a heading, one that begins with the name of a speaker and a colon
    is said by that speaker; neither mark is read out.

    Raises:
        TextError: there is nothing to say.
    """
    cast = {name.casefold(): voice_id for name, voice_id in order.speakers}
    found: list[DocumentSentence] = []
    for line in order.text.split("\n"):
        heading, (name, said) = _HEADING.match(line), _named(line)
        speaker = cast.get(name.casefold())
        said = line[heading.end() :] if heading else said if speaker else line
        level, own = len(heading[1]) if heading else 0, speaker if speaker != order.voice_id else None
        for each in reading.sentences(said.strip(), language):
            pause = f" <#{each.silence_s:g}#>" if each.silence_s else ""  # kept as it is written, to be edited
            text = f"{each.text}{pause}".strip()
            found.append(DocumentSentence(text, each.pause_s, ends_paragraph=False, heading=level, voice_id=own))
        if found:
            found[-1] = _last(found[-1], reading.PARAGRAPH_PAUSE_S, reading.END_PAUSE_S)
    if not found:
        raise unreadable(language)
    found[-1] = _last(found[-1], reading.END_PAUSE_S, reading.PARAGRAPH_PAUSE_S)
    return found


def speakers_in(text: str, voices: Sequence[Voice]) -> list[Speaker]:
    """Return whose lines a text seems to have, of these voices; names that several have are nobody's."""
    named: dict[str, list[str]] = {}
    for voice in voices:
        if voice.name:
            named.setdefault(voice.name.casefold(), []).append(voice.voice_id)
    found: dict[str, Speaker] = {}
    for line in text.split("\n"):
        name, said = _named(line)
        voice_ids = named.get(name.casefold(), [])
        if len(voice_ids) == 1 and said:
            before = found.get(voice_ids[0], Speaker(name, voice_ids[0], 0))
            found[voice_ids[0]] = replace(before, n_lines=before.n_lines + 1)
    return list(found.values())


def _named(line: str) -> tuple[str, str]:
    """Return what stands before a line's first colon, where that may be the name of a voice, and what after it."""
    parts = _COLON.split(line, maxsplit=1)
    is_named = len(parts) == 2 and len(parts[0].strip()) <= NAME_MAX_CHARS
    return (" ".join(parts[0].split()), parts[1].strip()) if is_named else ("", line)


def _last(sentence: DocumentSentence, pause_s: float, instead_of_s: float) -> DocumentSentence:
    """Return the last sentence of a paragraph, with a pause that fits unless it has one of its own."""
    own = sentence.pause_s if sentence.pause_s != instead_of_s else pause_s
    return replace(sentence, ends_paragraph=True, pause_s=own)


# files


TEXT_MAX_BYTES = 5_000_000
"""The longest novels have 3 MB."""
BOOK_MAX_BYTES = 100_000_000
"""Most of a book are its pictures, which nobody looks at here."""
BOOK_MAX_ENTRIES = 5_000
BOOK_MAX_UNPACKED_BYTES = 24_000_000
MAX_CHAPTERS = 1_000
CUE_PAUSE_S = 2.0
"""Of subtitles: after so much silence a paragraph begins."""

_SUFFIXES = (".txt", ".md", ".srt", ".vtt", ".epub")
_CUE = re.compile(r"(?:(\d+):)?(\d\d):(\d\d)[,.](\d{3})\s*-->\s*(?:(\d+):)?(\d\d):(\d\d)[,.](\d{3})")
_TAGS = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")
_MARKDOWN = (
    (re.compile(r"!\[[^\[\]]*\]\([^()]*\)"), ""),
    (re.compile(r"\[([^\[\]]+)\]\([^()]*\)"), r"\1"),
    (re.compile(r"<[^<>]*>"), ""),
    (re.compile(r"(\*\*|__|~~|`)(?=\S)([^*_~`]+)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])([*_])(?=\S)([^*_]+)(?<=\S)\1(?![\w*])"), r"\2"),
)
"""Pictures, links, tags, what is stressed: what is read of each."""
_MARKS = frozenset("[<*_~`")
_BULLET = re.compile(r"\s{0,3}(?:>\s?|[-*+]\s+)+")
_UNDERLINED = re.compile(r"\s{0,3}(=+|-+)\s*$")
_RULE = re.compile(r"\s{0,3}(?:[-*_]\s*){3,}$|\s{0,3}(?:```|~~~).*$")
_WRAPPED_CHARS = (40, 100)
"""Mean and longest line of a paragraph that an editor broke into lines."""


@dataclass(frozen=True)
class Chapter:
    """A part of a text, its heading first; without a title where there is none."""

    title: str
    text: str


@dataclass(frozen=True)
class TextFile:
    """What was read of a file, by its chapters."""

    title: str
    chapters: tuple[Chapter, ...]

    @property
    def text(self) -> str:
        """All of it."""
        return "\n\n".join(chapter.text for chapter in self.chapters)


def read_text(path: Path) -> TextFile:
    """Return the text of a file: .txt, .md, .srt, .vtt or .epub, as its name says.

    Raises:
        Refused: ``text_suffix``; ``no_file``; ``file_too_big`` (bytes); ``bad_encoding``; of a book what Archive and
            epub.read_book() refuse; ``empty_file``, there is no text in it.
    """
    kind = path.suffix.lower()
    if kind not in _SUFFIXES:
        raise Refused(
            f"Text is read from {', '.join(_SUFFIXES[:-1])} and {_SUFFIXES[-1]}.",
            code="text_suffix",
            field="file",
            measured=kind[:20],
            limit=", ".join(_SUFFIXES),
            advice="Save it as one of these.",
        )
    if kind == ".epub":
        bounds = {"max_bytes": BOOK_MAX_BYTES, "max_entries": BOOK_MAX_ENTRIES}
        with Archive(path, "The book", **bounds, max_unpacked_bytes=BOOK_MAX_UNPACKED_BYTES) as archive:
            title, text = read_book(archive)
    else:
        check_size(path, "The text", TEXT_MAX_BYTES)
        title, text = path.stem, _READERS[kind](decoded(path.read_bytes(), "The text"))
    if not any(c.isalnum() for c in text):
        raise Refused("There is no text in this file.", code="empty_file", field="file", advice="Choose another one.")
    return TextFile(one_line(title)[:NAME_MAX_CHARS], tuple(_chapters(text)))


def decoded(data: bytes, what: str) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 that says so, without carriage returns.

    Raises:
        Refused: ``bad_encoding``, measured in bytes before what is no text.
    """
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        at = text.find("\0")
    except UnicodeDecodeError as e:
        text, at = "", e.start
    if at >= 0:
        raise Refused(
            f"{what} is not UTF-8, from byte {at + 1:,} on.",
            code="bad_encoding",
            field="file",
            measured=at,
            advice="Save it as UTF-8.",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _plain(text: str) -> str:
    """Return a text whose paragraphs are one line each where an editor broke them."""
    paragraphs = re.split(r"\n[ \t]*\n", text)
    return "\n\n".join(_unwrapped(paragraph) for paragraph in paragraphs)


def _unwrapped(paragraph: str) -> str:
    lines = [line.strip() for line in paragraph.split("\n") if line.strip()]
    mean, longest = sum(map(len, lines[:-1])) / max(1, len(lines) - 1), max(map(len, lines), default=0)
    return (" " if mean >= _WRAPPED_CHARS[0] and longest <= _WRAPPED_CHARS[1] else "\n").join(lines)


def _markdown(text: str) -> str:
    """Return what is read of a text in Markdown: a line a paragraph."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    lines: list[list[str]] = []
    begins = True
    for line in text.split("\n"):
        underlined = _UNDERLINED.match(line)
        if underlined and not begins:
            lines[-1].insert(0, "#" if "=" in line else "##")
            begins = True
            continue
        heading, item = _HEADING.match(line.strip()), _BULLET.match(line)
        said = "" if _RULE.match(line) else line[item.end() :].strip() if item else line.strip()
        for pattern, instead in _MARKDOWN if _MARKS.intersection(said) else ():
            said = pattern.sub(instead, said)
        if begins or heading or item or not said:
            lines.append([])
        lines[-1].append(said.rstrip("# ") if heading else said)
        begins = bool(heading) or not said
    return "\n".join(filter(None, map(" ".join, lines)))


def _subtitles(text: str) -> str:
    """Return what is said in subtitles: a paragraph until nobody speaks for a while."""
    paragraphs: list[list[str]] = [[]]
    ended_s, is_said = 0.0, False
    for line in text.split("\n"):
        if cue := _CUE.match(line.strip()):
            numbers = [int(each or 0) for each in cue.groups()]
            begins_s, ends_s = (h * 3600 + m * 60 + s + ms / 1000 for h, m, s, ms in (numbers[:4], numbers[4:]))
            if begins_s - ended_s >= CUE_PAUSE_S and paragraphs[-1]:
                paragraphs.append([])
            ended_s, is_said = ends_s, True
        elif not line.strip():
            is_said = False
        elif is_said and (said := _TAGS.sub("", line).strip()):
            paragraphs[-1].append(said)
    return "\n".join(" ".join(paragraph) for paragraph in paragraphs)


_READERS = {".txt": _plain, ".md": _markdown, ".srt": _subtitles, ".vtt": _subtitles}


def _chapters(text: str) -> Iterator[Chapter]:
    """Yield a text in parts, each from a heading of the highest level that there is to the next.

    What has more headings than a book has chapters is one part.
    """
    lines = text.split("\n")
    levels = [len(found[1]) if (found := _HEADING.match(line)) else 0 for line in lines]
    highest = min((level for level in levels if level), default=0)
    headings = [i for i, level in enumerate(levels) if level and level == highest]
    starts = [0, *(headings if len(headings) <= MAX_CHAPTERS else ()), len(lines)]
    for start, end in pairwise(starts):
        part = "\n".join(lines[start:end]).strip()
        if part:
            yield Chapter(lines[start].lstrip("# ") if levels[start] else "", part)


# the chapters of an EPUB

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
