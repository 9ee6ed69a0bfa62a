"""Reading blocks: any way of appending and reading gives every line once; damage is noticed."""

from __future__ import annotations

import os
import pathlib
import tempfile

import hypothesis
import pytest
from hypothesis import strategies as st

from tidegate.logs.read import tail

LINES = st.lists(st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"").lstrip(b"\0")), max_size=30)


def opened(path: pathlib.Path, longest: int = 1000, position: int = 0) -> tail.Tail:
    stat = path.stat()
    made = tail.Tail(str(path), (stat.st_dev, stat.st_ino), position, longest)
    made.open()
    return made


def drain(made: tail.Tail) -> list[bytes]:
    found: list[bytes] = []
    before = -1
    while before != made.position:
        before = made.position
        made.look()
        if (block := made.read()) is not None:
            found += block.lines
    return found


@hypothesis.given(LINES, st.lists(st.integers(0, 2000), max_size=8))
def test_lines_come_once_whatever_the_writes(lines: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    ends = sorted({min(cut, len(whole)) for cut in cuts} | {len(whole)})
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "a.log")
        path.touch()
        made = opened(path)
        found: list[bytes] = []
        start = 0
        with path.open("ab", buffering=0) as writer:
            for end in ends:
                writer.write(whole[start:end])
                start = end
                found += drain(made)
                made.close()
                made.open()  # as after a descriptor was given away
        made.close()
    assert found == lines


def test_truncation_is_noticed_and_its_loss_known(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"one\ntwo\nthree")
    made = opened(path)
    assert drain(made) == [b"one", b"two"]
    os.truncate(path, 0)
    made.look()
    with pytest.raises(tail.RewrittenError) as caught:
        made.read()
    assert caught.value.lost == len(b"three")
    made.close()


def test_what_was_seen_of_other_content_is_not_lost_with_the_old(tmp_path: pathlib.Path) -> None:
    """A size that somebody saw counts as lost unless the file is that long by its new content."""
    path = tmp_path / "a.log"
    path.write_bytes(b"one\ntwo\n")
    made = opened(path)
    drain(made)
    made.notice(8 + 30)  # grown by 30 bytes that nobody read; then written over
    path.write_bytes(b"uno\n" * 100)
    made.notice(400)
    made.close()
    made.open()
    with pytest.raises(tail.RewrittenError) as caught:
        made.read()
    assert caught.value.lost == 30
    made.begin_anew()
    assert len(drain(made)) == 100
    path.write_bytes(b"dos\n" * 200)
    made.notice(800)
    made.look()
    with pytest.raises(tail.RewrittenError) as caught:
        made.read()
    assert caught.value.lost == 0
    made.close()


def test_same_length_other_content_is_noticed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"one\ntwo\n")
    made = opened(path)
    assert drain(made) == [b"one", b"two"]
    path.write_bytes(b"uno\ndos\n")
    with pytest.raises(tail.RewrittenError):
        made.read()
    made.begin_anew()
    assert drain(made) == [b"uno", b"dos"]
    made.close()


def test_line_without_end_is_cut_and_skipped(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * 3_000_000)
    made = opened(path)
    block = made.read()
    assert block is not None
    assert (block.cut, len(block.lines[0]), made.resume) == (True, 1000, 0)
    assert made.read() is None
    with path.open("ab") as file:
        file.write(b"x" * 3_000_000 + b"\nnext\n")
    assert drain(made) == [b"next"]
    assert made.resume == made.position == path.stat().st_size
    made.close()


def test_renamed_before_it_was_opened(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"one\n")
    made = opened(path)
    made.close()
    path.rename(tmp_path / "b.old")
    path.write_bytes(b"other\n")
    made.open()
    assert made.path == str(tmp_path / "b.old")
    assert drain(made) == [b"one"]
    made.close()
    (tmp_path / "b.old").unlink()
    with pytest.raises(tail.GoneError):
        made.open()


def test_a_hole_is_passed_over_quickly(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.log"
    with path.open("wb") as file:
        file.seek(10 * 1024**3)
        file.write(b"late\n")
    made = opened(path)
    found: list[bytes] = []
    for _ in range(5):
        made.look()
        block = made.read()
        found += block.lines if block else []
    assert found == [b"late"]
    made.close()
