"""Text out of files: what is read, what is a heading, and what is refused, with one clear sentence."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from clone.core.errors import Refused
from clone.studio import archives, texts
from clone.studio.archives import Archive, safe_name
from clone.studio.texts import read_text
from tests.studios import fit_for_a_person

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>
<dc:title>The Harbour</dc:title></metadata><manifest>
<item id="one" href="text/one%20.xhtml" media-type="application/xhtml+xml"/>
<item id="two" href="../OPS/two.xhtml#top" media-type="application/xhtml+xml"/>
<item id="cover" href="cover.jpg" media-type="image/jpeg"/></manifest>
<spine><itemref idref="two"/><itemref idref="cover"/><itemref idref="one"/><itemref idref="gone"/></spine></package>"""
ONE = """<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "http://evil.example/xhtml11.dtd">
<html xmlns="http://www.w3.org/1999/xhtml"><head><title>Not said</title><style>p {}</style></head><body>
<h2>The&nbsp;<i>second</i></h2><p>It rains&mdash;and
 rains. <b>Come</b> in.</p><p/><nav><p>Page 1</p></nav></body></html>"""
TWO = "<html><body><h2>The first</h2><div>Walk home.<p>Now &amp; then.</p></div><script>no</script></body></html>"


def book(folder: Path, **changed: str | bytes | None) -> Path:
    """Write a book; what is given by a name replaces what is in it, None takes it away."""
    names = {
        "container": "META-INF/container.xml",
        "package": "OPS/book.opf",
        "one": "OPS/text/one .xhtml",
        "two": "OPS/two.xhtml",
        "encryption": "META-INF/encryption.xml",
    }
    files = {"container": CONTAINER, "package": PACKAGE, "one": ONE, "two": TWO} | changed
    path = folder / "book.epub"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            if data is not None:
                archive.writestr(names[name], data)
    return path


def refusal(path: Path) -> Refused:
    with pytest.raises(Refused) as refused:
        read_text(path)
    assert fit_for_a_person(refused.value).field == "file"
    return refused.value


def written(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_a_book_is_read_in_its_order_by_chapter(tmp_path: Path) -> None:
    found = read_text(book(tmp_path))
    assert found.title == "The Harbour"
    assert [(each.title, each.text) for each in found.chapters] == [
        ("The first", "## The first\nWalk home.\nNow & then."),
        ("The second", "## The second\nIt rains—and rains. Come in."),
    ]


def test_markdown_is_read_without_its_marks(tmp_path: Path) -> None:
    text = (
        "---\ntitle: x\n---\nThe _old_ harbour\n===\nIt **rains**, says [Ada](http://x/y),\nand `rains`.\n\n"
        "- Come in.\n- Sit * down.\n\n> Quoted.\n\n***\n### Part three ##\n![map](x.png)<br>\nsnake_case_word stays.\n"
    )
    assert read_text(written(tmp_path, "a.md", text)).text.split("\n") == [
        "# The old harbour",
        "It rains, says Ada, and rains.",
        "Come in.",
        "Sit * down.",
        "Quoted.",
        "### Part three",
        "snake_case_word stays.",
    ]


def test_subtitles_are_read_without_their_times(tmp_path: Path) -> None:
    cues = (
        "1\r\n00:00:01,000 --> 00:00:02,000\r\n<i>It rains</i>\r\nand rains.\r\n\r\n"
        "2\n00:00:02,500 --> 00:00:03,000\n{\\an8}Come in.\n\n3\n00:01:02,500 --> 00:01:03,000\n1984.\n"
    )
    found = read_text(written(tmp_path, "a.srt", "\ufeff" + cues))
    assert found.text == "It rains and rains. Come in.\n1984."
    web = "WEBVTT - a title\n\nNOTE hello\n\nid\n00:01.000 --> 00:02.000 align:start\n<v Ada>Come in."
    assert read_text(written(tmp_path, "a.VTT", web)).text == "Come in."


def test_lines_that_an_editor_broke_are_one(tmp_path: Path) -> None:
    wrapped = (
        "The ferry left the island early, while a thin\nfog was still lying over the grey water of the\nbay.\n\nEnd."
    )
    assert read_text(written(tmp_path, "a.txt", wrapped)).text == f"{' '.join(wrapped.split()[:-1])}\n\nEnd."
    verse = "Walk home.\nIt rains."
    assert read_text(written(tmp_path, "b.txt", verse)).text == verse
    assert read_text(written(tmp_path, "c.txt", verse.encode("utf-16"))).text == verse


def test_a_text_is_parted_at_its_highest_headings(tmp_path: Path) -> None:
    text = "Before.\n## One\nA.\n### Deeper\nB.\n## Two\nC."
    found = read_text(written(tmp_path, "a.txt", text)).chapters
    assert [each.title for each in found] == ["", "One", "Two"]
    assert found[1].text == "## One\nA.\n### Deeper\nB."
    assert len(read_text(written(tmp_path, "b.md", "# a\n" * (texts.MAX_CHAPTERS + 1))).chapters) == 1


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.txt", "caf\xe9".encode("latin-1"), "bad_encoding"),
        ("a.md", b"\xff\xfe\x00", "bad_encoding"),
        ("a.txt", b"MZ\0\0 a program", "bad_encoding"),
        ("a.txt", b" \n\t", "empty_file"),
        ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\n\n", "empty_file"),
        ("a.pdf", b"%PDF", "text_suffix"),
        ("a.txt", b"x" * (texts.TEXT_MAX_BYTES + 1), "file_too_big"),
        ("a.epub", b"no zip", "damaged_file"),
        ("a.epub", b"", "damaged_file"),
        ("a.epub", b"PK\x05\x06" + b"\0" * 18, "damaged_file"),
        ("a.epub", b"PK\x05\x06" + b"\0" * 4 + b"\xff" * 14, "too_many_entries"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, name: str, data: bytes, code: str) -> None:
    assert refusal(written(tmp_path, name, data)).code == code
    assert refusal(tmp_path / f"gone-{name}").code == ("text_suffix" if code == "text_suffix" else "no_file")


ENTITIES = '<!DOCTYPE html [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><html><body>&b;</body></html>'
OUTSIDE = '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><html><body>&x;</body></html>'
PARAMETER = '<!DOCTYPE html [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]><html><body>A</body></html>'
ENCRYPTED = (
    '<encryption><EncryptedData><CipherData><CipherReference URI="OPS/two.xhtml"/></CipherData></EncryptedData>'
    "</encryption>"
)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"one": ENTITIES}, "declares_entities"),
        ({"one": OUTSIDE}, "declares_entities"),
        ({"package": PARAMETER}, "declares_entities"),
        ({"container": ENTITIES}, "declares_entities"),
        ({"one": "<html><body><p>Never closed"}, "damaged_file"),
        ({"one": "<html>&undefined;</html>"}, "damaged_file"),
        ({"one": "<b>" * 300 + "x" + "</b>" * 300}, "damaged_file"),
        ({"one": b'<?xml version="1.0" encoding="utf-7"?><p>x</p>'}, "damaged_file"),
        ({"two": None}, "damaged_file"),
        ({"container": None}, "damaged_file"),
        ({"container": "<container/>"}, "damaged_file"),
        ({"container": CONTAINER.replace("OPS/book.opf", "../../etc/passwd")}, "damaged_file"),
        ({"encryption": ENCRYPTED}, "encrypted_file"),
        ({"one": "<p>" + " " * 25_000_000 + "</p>"}, "unpacks_too_big"),
        ({"package": PACKAGE + " " * 2_100_000}, "unpacks_too_big"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_book_that_is_an_attack_is_refused(tmp_path: Path, changed: dict[str, str], code: str) -> None:
    assert refusal(book(tmp_path, **changed)).code == code


def test_a_book_whose_bytes_are_not_what_its_checksums_say_is_damaged(tmp_path: Path) -> None:
    path = book(tmp_path)
    data = bytearray(path.read_bytes())
    at = data.index(b"two.xhtml") + len("two.xhtml") + 4
    data[at : at + 4] = b"\0\0\0\0"
    path.write_bytes(data)
    assert refusal(path).code == "damaged_file"


def test_a_directory_that_promises_less_than_comes_is_no_way_around(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 3_000_000)
    data = bytearray(path.read_bytes())
    for signature, field in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<L", data, data.index(signature) + field, 10)
    path.write_bytes(data)
    bounds = {"max_bytes": 10**6, "max_entries": 5, "max_unpacked_bytes": 10**6}
    with Archive(path, "It", **bounds) as archive, pytest.raises(Refused):
        archive.read("zeros")


def test_more_files_than_may_be_are_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(20):
            archive.writestr(f"{i}", b"")
    bounds = {"max_bytes": 10**6, "max_unpacked_bytes": 10**6}
    for n_entries in (19, 2):
        with pytest.raises(Refused) as refused:
            Archive(path, "It", max_entries=n_entries, **bounds)
        assert refused.value.code == "too_many_entries"
    with Archive(path, "It", max_entries=20, **bounds) as archive_read:
        assert len(archive_read.names) == 20


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("../../etc/passwd", "etc passwd"),
        ("C:\\Windows\\x", "C Windows x"),
        ("CON", "_CON"),
        ("com1.txt", "_com1.txt"),
        (" .hidden. ", "hidden"),
        ("a\0b\n\u202ec", "a b c"),
        ("Über “uns”: 走吧!", "Über uns 走吧"),
        ("", "x"),
        ("///", "x"),
        ("\ud800", "x"),
        ("y" * 500, "y" * archives.NAME_MAX_CHARS),
    ],
)
def test_a_file_has_a_name_that_every_system_takes(words: str, name: str) -> None:
    assert safe_name(words, "x") == name
