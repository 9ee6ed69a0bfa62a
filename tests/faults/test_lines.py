"""What lines may hold: each case prints lost, doubled-sent, doubled-stored, counted."""

from __future__ import annotations

import pathlib

import pytest

from tests.faults import rig

MIB = 1024 * 1024


async def test_line_as_long_as_allowed(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path) as it:
        with (tmp_path / "app.log").open("w") as file:
            for number in range(5):
                head = f"INFO seq=mega-{number} "
                file.write(head + "x" * (MIB - len(head)) + "\n")
                it.written.add(f"mega-{number}")
        await it.stored()
        it.report("line of 1 MB", by="cut_lines_total")
        assert it.metric("cut_lines_total") == 0
        assert {len(each["message"]) for each in it.server.documents()} == {MIB}


@pytest.mark.parametrize(
    ("case", "lines"),
    [
        ("invalid UTF-8", [b"INFO \xff\xfe seq=a-1", b"INFO \xc3( seq=a-2", b"\x80\x80 seq=a-3", b"seq=a-4 \xe2\x82"]),
        ("NUL bytes", [b"INFO \0\1\2 seq=a-1", b"INFO seq=a-2 \0", b"\0\0seq=a-3", b'{"msg":"seq=a-4 \\u0000"}']),
        ("byte order mark", [b"\xef\xbb\xbfINFO seq=a-1", b"\xef\xbb\xbfINFO seq=a-2", b"INFO seq=a-3", b"seq=a-4"]),
    ],
)
async def test_bytes(tmp_path: pathlib.Path, case: str, lines: list[bytes]) -> None:
    async with rig.running(tmp_path) as it:
        (tmp_path / "app.log").write_bytes(b"\n".join(lines) + b"\n")
        it.written = {f"a-{number}" for number in range(1, 5)}
        await it.stored()
        it.report(case)
        assert len(it.server.documents()) == 4


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
async def test_utf_16(tmp_path: pathlib.Path, encoding: str) -> None:
    """It is kept line by line with the NUL that every second byte is; nothing is dropped."""
    async with rig.running(tmp_path) as it:
        text = "".join(f"INFO seq=wide-{number} \n" for number in range(50))
        (tmp_path / "app.log").write_bytes(text.encode(encoding) + b"\n")
        it.written = {f"wide-{number}" for number in range(50)}
        await it.stored()
        it.report("UTF-16")


async def test_app_beside_a_dotted_app(tmp_path: pathlib.Path) -> None:
    """A name that is a value here and an object there is the usual reason for a 400; the fake is strict about it."""
    forms = [
        '{{"msg":"seq=l-{}","app":"shop"}}',
        '{{"msg":"seq=l-{}","app.kubernetes.io/name":"shop"}}',
        '{{"msg":"seq=l-{}","app":{{"kubernetes":{{"io/name":"shop"}}}}}}',
        '{{"msg":"seq=l-{}","labels":{{"app":"shop","app.kubernetes.io/name":"shop"}}}}',
        '{{"msg":"seq=l-{}","kubernetes":{{"labels":{{"app":"a","app.kubernetes.io/name":"b"}}}}}}',
    ]
    labels = {"app": "x", "app.kubernetes.io/name": "y"}
    async with rig.running(tmp_path, inputs=[{"paths": ["*.log"], "labels": labels}]) as it:
        with (tmp_path / "app.log").open("w") as file:
            for number in range(50):
                file.write(forms[number % len(forms)].format(number) + "\n")
                it.written.add(f"l-{number}")
        await it.stored()
        it.report("app beside app.kubernetes.io/name", by="dead_letters_total")
        assert it.counted("dead_letters_total") == 0
