"""Which files are followed, by what scans and the writers of our own files say of them."""

from __future__ import annotations

import pathlib

from tidegate.logs.read import files, roster
from tidegate.model import settings

INPUT = settings.LogInput(paths=("*.log",), multiline=settings.Multiline(enabled=False))


def made() -> roster.Roster:
    return roster.Roster("/", "node", settings.Logs(), {}, fresh=False)


def found(path: pathlib.Path) -> files.Found:
    stat = path.stat()
    return files.Found(str(path), (stat.st_dev, stat.st_ino), stat.st_size, stat.st_mtime_ns, INPUT)


def read(watched: roster.Watched) -> list[bytes]:
    bodies = watched.source.step(0.0).bodies
    watched.take_over()
    return bodies


def test_a_new_file_in_the_inode_of_one_that_was_given_up_is_read(tmp_path: pathlib.Path) -> None:
    book, old = made(), tmp_path / "1.log"
    old.write_text("first of the old\nsecond\n")
    was = found(old)
    book.take({was.key: was}, [INPUT], 0.0)
    assert len(read(book.watched[was.key])) == 2
    digest = book.watched[was.key].entry().first_digest
    assert book.abandon(str(old), digest) is book.watched[was.key]
    book.take({was.key: was}, [INPUT], 1.0)
    assert book.due(1.0) == []
    # The same inode under another name with other content, as after an unlink and a creation between two scans.
    new = old.rename(tmp_path / "2.log")
    new.write_text("first of the new, which is longer than all of the old one\n")
    book.take({was.key: found(new)}, [INPUT], 2.0)
    (watched,) = book.due(2.0)
    (body,) = read(watched)
    assert b"first of the new" in body
    assert b"2.log" in body
    assert watched.lag_bytes == new.stat().st_size


def test_a_file_behind_a_link_can_be_given_up(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "1.log").write_text("one\n")
    book, seen = made(), found(tmp_path / "link" / "1.log")
    book.take({seen.key: seen}, [INPUT], 0.0)
    read(book.watched[seen.key])
    digest = book.watched[seen.key].entry().first_digest
    for path in ("real/1.log", "link/1.log"):
        assert book.abandon(str(tmp_path / path), digest) is book.watched[seen.key]
    assert book.abandon(str(tmp_path / "link" / "1.log"), files.digest(b"another")) is None
