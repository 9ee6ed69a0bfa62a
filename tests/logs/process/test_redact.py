"""Redaction: what each rule finds and leaves, and that a secret anywhere in a line of any format never gets out."""

from __future__ import annotations

import pathlib
import string

import hypothesis
import orjson
import pytest
from hypothesis import strategies as st

from tidegate.logs.process import proofs, redact, rules
from tidegate.logs.read import source
from tidegate.model import problems, settings

NOW = 1_767_355_200.0
ALL = ("secrets", "cards", "email", "ip")


def read(path: pathlib.Path, lines: list[bytes], **given: object) -> source.Chunk:
    """What a file's lines become."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    stat = path.stat()
    input_ = settings.LogInput.model_validate({"paths": ["x"], "redact": ALL, **given})
    made = source.Source(str(path), (stat.st_dev, stat.st_ino), input_, host="h", longest=100_000)
    chunk = made.step(NOW, final=True)
    made.tail.close()
    return chunk


def shown(text: str, *names: str, own: dict[str, str] | None = None) -> str:
    """A text as a document's message shows it."""
    input_ = settings.LogInput.model_validate({"paths": ["x"], "redact": names, "redact_patterns": own or {}})
    made = redact.of(input_)
    assert made is not None
    body = orjson.dumps({"@timestamp": "", "message": text, "log": {"offset": 0}})
    message: str = orjson.loads(made.bodies([body])[0])["message"]
    return message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Authorization: Bearer abc.def-123 next", "Authorization: [redacted:authorization] next"),
        ("authorization=Basic dXNlcjpwYXNz", "authorization=[redacted:authorization]"),
        ('{"Authorization":"Token abc","a":1}', '{"Authorization":"[redacted:authorization]","a":1}'),
        ('Authorization: Digest username="a", response="b"', "Authorization: [redacted:authorization]"),
        ("sent bearer abcdefgh12345 to", "sent bearer [redacted:bearer] to"),
        ("password=hunter2&user=ann", "password=[redacted:password]&user=ann"),
        ('password: "two words", x', "password: [redacted:password], x"),
        ("DB_PASSWORD='a b'", "DB_PASSWORD=[redacted:password]"),
        (r"{\"password\":\"hunter2\"}", r"{\"password\":[redacted:password]\"}"),
        ("api-key => k1", "api-key => [redacted:password]"),
        ("password\t:\thunter2", "password\t:\t[redacted:password]"),
        ("postgres://ann:s3cr@t@db:5432/shop", "postgres://ann:[redacted:url-password]@db:5432/shop"),
        ("xAKIAIOSFODNN7EXAMPLEx", "x[redacted:aws-key]x"),
        ("ghp_" + "a1" * 18, "[redacted:github-token]"),
        ("xoxb-123456789012-abcdefABCDEF", "[redacted:slack-token]"),
        ("id eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0dXJl.", "id [redacted:jwt]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nx", "[redacted:private-key]\nx"),
        ("the secret of life is 42", "the secret of life is 42"),
        ("token expired; tokens used: 5", "token expired; tokens used: 5"),
        ("-----BEGIN PUBLIC KEY-----", "-----BEGIN PUBLIC KEY-----"),
        ("https://shop.example:8443/a@b", "https://shop.example:8443/a@b"),
    ],
)
def test_secrets(text: str, wanted: str) -> None:
    assert shown(text, "secrets") == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("card 4111 1111 1111 1111.", "card [redacted:card]."),
        ("2026-01-02 4111-1111-1111-1111", "2026-01-02 [redacted:card]"),
        ("77 378282246310005 5", "77 [redacted:card] 5"),
        ("4111111111111112", "4111111111111112"),
        ("at 1700000000000 and 1700000000000000000", "at 1700000000000 and 1700000000000000000"),
        ("order 0000000000000000", "order 0000000000000000"),
    ],
)
def test_cards(text: str, wanted: str) -> None:
    assert shown(text, "cards") == wanted


def test_email_and_addresses() -> None:
    assert shown("to <ann.o'lee+x@mail.shop.example>, ok", "email") == "to <[redacted:email]>, ok"
    assert shown("a@b c @d", "email") == "a@b c @d"
    text = "from 192.0.2.7:80, [2001:db8::1]:443 ip:fe80::1, at 03:04:05 in std::x 1.2.3 999.1.1.1"
    assert (
        shown(text, "ip")
        == "from [redacted:ip]:80, [[redacted:ip]]:443 ip:[redacted:ip], at 03:04:05 in std::x 1.2.3 999.1.1.1"
    )


@hypothesis.given(st.text(string.digits, min_size=2, max_size=30))
def test_luhn_is_the_sum_of_digits(digits: str) -> None:
    pairs = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    assert proofs.luhn(digits) == (sum(sum(divmod(one, 10)) for one in pairs) % 10 == 0)


def test_own_patterns_see_what_escapes_and_edges_hide() -> None:
    own = {
        "badge": r"B-\d{6}",
        "first": "^root\\b",
        "quoted": '"x\\\\y"',
        "blank": "a\tb",
        "named": "(?P<v>q1)",
        "more": "(?P<v>q2)",
    }
    assert shown("B-123456 root", own=own) == "[redacted:badge] root"
    assert shown("root did it", own=own) == "[redacted:first] did it"
    quoted = {name: own[name] for name in ("quoted", "blank", "named", "more")}
    assert shown('say "x\\y"', own=quoted) == "say [redacted:quoted]"
    assert shown("say a\tb q1q2", own=quoted) == "say [redacted:blank] [redacted:named][redacted:more]"
    assert shown("nothing", own=quoted) == "nothing"


@pytest.mark.parametrize("pattern", ["x*", "(", "(?=x)", "^"])
def test_own_patterns_that_cannot_be(pattern: str) -> None:
    with pytest.raises(problems.QueryError):
        rules.own("x", pattern)


def test_documents_without_a_hit_are_the_same_bytes() -> None:
    made = redact.of(settings.LogInput.model_validate({"paths": ["x"], "redact": ALL}))
    assert made is not None
    bodies = [b'{"@timestamp":"","message":"all is well","log":{"offset":%d}}' % number for number in range(3)]
    assert made.bodies(bodies) is bodies
    assert redact.of(settings.LogInput(paths=("x",))) is None


def test_names_and_typed_fields(tmp_path: pathlib.Path) -> None:
    line = {
        "msg": "m",
        "password": {"value": 5},
        "ann@shop.example": 1,
        "source": {"ip": "192.0.2.1"},
        "http.response.bytes": 4111111111111111,
        "url": {"password": "open", "path": "/ok"},
        "process.args": ["--token=abc", "x"],
    }
    chunk = read(tmp_path / "a", [orjson.dumps(line)])
    document = orjson.loads(chunk.bodies[0])
    assert document["labels"] == {
        "password_value": "[redacted:password]",
        "[redacted:email]": "1",
        "source_ip": "[redacted:ip]",
        "http_response_bytes": "[redacted:card]",
    }
    assert document["url"] == {"password": "[redacted:password]", "path": "/ok"}
    assert document["process"] == {"args": ["--token=[redacted:password]", "x"]}
    assert chunk.redacted == {"password": 3, "email": 1, "ip": 1, "card": 1}


KEY = [
    "-----BEGIN PRIVATE KEY-----",
    *(f"{letter * 64}" for letter in "ABCDE"),
    "abcd+/==",
    "-----END PRIVATE KEY-----",
]


def test_a_key_over_several_lines(tmp_path: pathlib.Path) -> None:
    at = "2026-01-02T03:04:05Z"
    lines = [f"{at} stdout F {text}" for text in ("before", *KEY, "after", "x" * 64)]
    lines.insert(4, f"{at} stderr F other")
    chunk = read(tmp_path / "a", [line.encode() for line in lines])
    messages = [orjson.loads(body)["message"] for body in chunk.bodies]
    kept = [text for text in messages if text != "[redacted:private-key]"]
    assert sorted(kept) == sorted(["before", "other", "after", "x" * 64])


def test_a_key_that_was_half_read_before_a_restart(tmp_path: pathlib.Path) -> None:
    chunk = read(tmp_path / "a", [line.encode() for line in [*KEY[3:], "after"]])
    messages = [orjson.loads(body)["message"] for body in chunk.bodies]
    assert set(messages[:-1]) == {"[redacted:private-key]"}
    assert messages[-1] == "after"


# --- nothing leaks ----------------------------------------------------------------------------------------------

LETTERS = string.ascii_letters + string.digits


def token(start: str, size: int, letters: str = LETTERS) -> st.SearchStrategy[str]:
    return st.text(letters, min_size=size, max_size=size).map(lambda rest: start + rest)


def card(rest: str) -> str:
    body = "4" + rest
    check = next(digit for digit in string.digits if proofs.luhn(body + digit))
    return body + check


PLAIN = st.sampled_from(["", " ", "x ", " é ", "\t", '"', "\\", "\\n", " {", "\u2028", "=> ", "a=b ", ", ", " [", "'"])
SECRETS = st.one_of(
    token("AKIA", 16, string.ascii_uppercase + "234567"),
    token("ghp_", 36),
    token("xoxp-", 20),
    token("eyJ", 12).flatmap(lambda head: token(".", 12).map(lambda rest: head + rest + ".sig")),
    token("sk-", 30),
)
KEYED = st.tuples(
    st.sampled_from(
        ["password=", "Authorization: Bearer ", "PASSWORD : ", 'secret="', "x-api-key: '", "https://ann:", '"token": "']
    ),
    token("Zq9", 12),
).map(lambda pair: (pair[0], pair[1], '"' if pair[0].endswith('"') else "@h " if "://" in pair[0] else " "))
CARDS = st.text(string.digits, min_size=14, max_size=14).map(card)
MAILS = token("z", 8, string.ascii_lowercase).map(lambda name: f"{name}@shop.example")
ADDRESSES = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).filter(lambda one: str(one).count(":") > 2).map(str)
HIDDEN = st.one_of(
    st.tuples(PLAIN, SECRETS, PLAIN),
    st.tuples(PLAIN, KEYED, PLAIN).map(lambda t: (t[0] + t[1][0], t[1][1], t[1][2] + t[2])),
    st.tuples(PLAIN.map(lambda text: text + " "), CARDS | MAILS | ADDRESSES, PLAIN.map(lambda text: " " + text)),
)
WRAPS = ("none", "cri", "cri-parts", "docker")
SHAPES = ("text", "json-message", "json-label", "json-nested", "json-key", "json-known", "json-raw", "json-escaped", "logfmt",
          "trace", "access")  # fmt: skip


def shaped(shape: str, text: str) -> bytes:
    """A line with the text somewhere in it."""
    made: dict[str, object] = {
        "json-message": {"msg": text, "level": "info"},
        "json-label": {"msg": "m", "note": text},
        "json-nested": {"msg": "m", "a": {"b": [1, {"c": text}]}},
        "json-key": {"msg": "m", text: 1},
        "json-known": {"msg": "m", "url": {"original": text}, "error": {"message": text, "stack": text + "\n at x"}},
        "json-raw": {"a": text},
    }
    if shape in made:
        return orjson.dumps(made[shape])
    if shape == "json-escaped":
        return (
            ('{"msg":"' + "".join(f"\\u{unit:04x}" for unit in text.encode("utf-16-be")[1::2]) + '"}').encode()
            if text.isascii()
            else orjson.dumps({"msg": text})
        )
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    if shape == "logfmt":
        return f'level=info note="{quoted}" msg=m'.encode()
    if shape == "trace":
        return f"ERROR x\njava.lang.IllegalStateException: {text}\n\tat a.B.c(D.java:1)".encode()
    if shape == "access":
        return f'h - - [10/Oct/2026:13:55:36 -0700] "GET / HTTP/1.1" 200 1 "-" "{quoted}"'.encode()
    return text.encode()


def wrapped(wrap: str, raw: bytes, cut: int) -> list[bytes]:
    """The line as a container runtime writes it."""
    lines = raw.split(b"\n")
    at = b"2026-01-02T03:04:05Z stdout "
    if wrap == "cri":
        return [at + b"F " + line for line in lines]
    if wrap == "cri-parts":
        return [part for line in lines for part in (at + b"P " + line[:cut], at + b"F " + line[cut:])]
    if wrap == "docker":
        return [
            orjson.dumps(
                {"log": line.decode("utf-8", "replace") + "\n", "stream": "stdout", "time": "2026-01-02T03:04:05Z"}
            )
            for line in lines
        ]
    return lines


@hypothesis.settings(max_examples=600, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(HIDDEN, st.sampled_from(SHAPES), st.sampled_from(WRAPS), st.integers(1, 60))
def test_nothing_leaks(
    tmp_path_factory: pytest.TempPathFactory, hidden: tuple[str, str, str], shape: str, wrap: str, cut: int
) -> None:
    before, secret, after = hidden
    lines = wrapped(wrap, shaped(shape, before + secret + after), cut)
    chunk = read(tmp_path_factory.mktemp("leak") / "a", lines)
    assert chunk.bodies
    assert chunk.redacted
    for body in chunk.bodies:
        text = orjson.dumps(orjson.loads(body)).decode()
        assert secret not in text
        assert secret not in text.replace("\\", "")
