"""Stack traces of six languages become one event each; ordinary lines stay apart."""

from __future__ import annotations

import pathlib

import orjson
import pytest

from tidegate.logs.read import files, source
from tidegate.model import settings

JAVA = """2026-01-02 03:04:05 ERROR a.B - cannot pay
java.lang.IllegalStateException: no money
\tat a.B.pay(B.java:12)
\tat a.Main.main(Main.java:3)
Caused by: java.io.IOException: gone
\tat a.C.read(C.java:1)
\t... 2 more
2026-01-02 03:04:06 INFO next"""
PYTHON = """2026-01-02 03:04:05 ERROR worker: failed
Traceback (most recent call last):
  File "x.py", line 1, in f
    g()
KeyError: 'a'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "x.py", line 3, in h
    raise ValueError("b")
shop.errors.ValueError: b
INFO next"""
GO = """panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.pay(0x1, {0x2, 0x3})
\t/src/main.go:12 +0x1d
main.main()
\t/src/main.go:5 +0x20
exit status 2
INFO next"""
RUBY = """app/pay.rb:3:in `pay': undefined method `+' for nil:NilClass (Shop::NoMoneyError)
\tfrom app/pay.rb:7:in `block in run'
\tfrom app/main.rb:10:in `<main>'
INFO next"""
RUBY_OLD = """Traceback (most recent call last):
\t1: from app/main.rb:10:in `<main>'
app/pay.rb:3:in `pay': no money (RuntimeError)
INFO next"""
NODE = """TypeError: x is not a function
    at pay (/src/a.js:1:2)
    at Object.<anonymous> (/src/b.js:3:4) {
  code: 'E1'
}
INFO next"""
DOTNET = """Unhandled exception. System.InvalidOperationException: no
 ---> System.IO.IOException: gone
   at A.B.Read() in B.cs:line 1
   --- End of inner exception stack trace ---
   at A.B.Pay() in B.cs:line 12
INFO next"""


def read(folder: pathlib.Path, text: str, **multiline: object) -> list[dict[str, object]]:
    """Documents of a file with this text."""
    path = folder / "app.log"
    path.write_text(text + "\n")
    stat = path.stat()
    given = settings.LogInput.model_validate({"paths": ["x"], "multiline": multiline})
    made = source.Source(str(path), (stat.st_dev, stat.st_ino), given, host="h", longest=10_000)
    chunk = made.step(1_700_000_000.0, final=True)
    made.tail.close()
    return [orjson.loads(body) for body in chunk.bodies]


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (JAVA, "java.lang.IllegalStateException", "no money"),
        (PYTHON, "shop.errors.ValueError", "b"),
        (GO, "panic", "runtime error: index out of range [5] with length 3"),
        (NODE, "TypeError", "x is not a function"),
        (RUBY, "Shop::NoMoneyError", "undefined method `+' for nil:NilClass"),
        (RUBY_OLD, "RuntimeError", "no money"),
        (DOTNET, "System.InvalidOperationException", "no"),
    ],
    ids=["java", "python", "go", "node", "ruby", "old-ruby", "dotnet"],
)
def test_traces_are_one_event(tmp_path: pathlib.Path, text: str, kind: str, message: str) -> None:
    first, second = read(tmp_path, text)
    assert first["error"]["type"] == kind  # type: ignore[index]
    assert first["error"]["message"] == message  # type: ignore[index]
    kept = f"{first['message']}\n{first['error']['stack_trace']}"  # type: ignore[index]
    for line in text.split("\n")[:-1]:
        assert line in kept
    assert str(second["message"]).endswith("INFO next")
    assert first["log"]["level"] in ("error", "critical")  # type: ignore[index]


def test_ordinary_lines_stay_apart(tmp_path: pathlib.Path) -> None:
    lines = [
        "INFO a",
        "  indented",
        "Error: alone",
        '{"msg":"json"}',
        "",
        "level=info msg=x",
        "Caused a stir",
        "INFO b",
    ]
    assert len(read(tmp_path, "\n".join(lines))) == 7


def test_frames_of_ruby_loggers_join_the_line_above(tmp_path: pathlib.Path) -> None:
    text = (
        "E, [2026-01-02T03:04:05.123456 #12] ERROR -- : failed\napp/a.rb:12:in 'Shop#pay'\nlib/b.rb:1:in 'run'\nINFO x"
    )
    first, second = read(tmp_path, text)
    assert first["error"] == {"stack_trace": "app/a.rb:12:in 'Shop#pay'\nlib/b.rb:1:in 'run'"}
    assert first["@timestamp"] == "2026-01-02T03:04:05.123456Z"
    assert second["message"] == "INFO x"


def test_two_errors_of_ruby_stay_apart(tmp_path: pathlib.Path) -> None:
    lines = "a.rb:1:in `a': x (E)\n\tfrom c.rb:1:in `c'\nb.rb:2:in `b': y (F)\n\tfrom c.rb:1:in `c'"
    assert [each["error"]["type"] for each in read(tmp_path, lines)] == ["E", "F"]  # type: ignore[index]


def test_a_trace_alone_is_told_by_its_error(tmp_path: pathlib.Path) -> None:
    [only] = read(tmp_path, 'Traceback (most recent call last):\n  File "x", line 1\nValueError: b')
    assert only["message"] == "ValueError: b"
    assert only["error"]["stack_trace"].startswith("Traceback")  # type: ignore[index]


def test_a_trace_too_long_is_cut_and_says_so(tmp_path: pathlib.Path) -> None:
    [only] = read(tmp_path, "x.Error: y\n" + "\n".join(f"\tat a.B{n}" for n in range(50)), max_lines=10)
    trace = str(only["error"]["stack_trace"])  # type: ignore[index]
    assert trace.endswith("... (41 more lines were cut)")
    assert only["log"]["flags"] == ["truncated"]  # type: ignore[index]


def test_switched_off(tmp_path: pathlib.Path) -> None:
    assert len(read(tmp_path, JAVA, enabled=False)) == 8


def test_streams_of_one_container_do_not_mix(tmp_path: pathlib.Path) -> None:
    at = "2026-01-02T03:04:05Z"
    lines = [
        f"{at} stderr F ERROR boom",
        f"{at} stdout F INFO between",
        f"{at} stderr F \tat a.B.c(D.java:1)",
        f'{at} stdout F {{"msg":"json between"}}',
        f"{at} stderr F \tat a.B.d(D.java:2)",
    ]
    documents = read(tmp_path, "\n".join(lines))
    found = {str(each["message"]): each.get("error") for each in documents}
    assert found.keys() == {"ERROR boom", "INFO between", "json between"}
    assert found["ERROR boom"] == {"stack_trace": "\tat a.B.c(D.java:1)\n\tat a.B.d(D.java:2)"}


def test_file_ids_tell_generations_and_hosts_apart() -> None:
    ids = {
        files.file_id((1, 2), b"first", "h", 0),
        files.file_id((1, 2), b"first", "h", 1),
        files.file_id((1, 2), b"first", "g", 0),
        files.file_id((1, 3), b"first", "h", 0),
        files.file_id((1, 2), b"other", "h", 0),
    }
    assert len(ids) == 5
    assert {len(each) for each in ids} == {16}
