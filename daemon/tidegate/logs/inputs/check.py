"""What is wrong with the settings of inputs, as far as it can be known before they listen.

Apart from the inputs themselves, so that `tidegate check` need not load what only they need.
"""

from __future__ import annotations

import pathlib

from tidegate.kit import yamlfile
from tidegate.logs.inputs import addresses
from tidegate.model import problems, receiving


def problems_of(
    config: receiving.Receive, folder: pathlib.Path, document: yamlfile.Document | None = None
) -> list[problems.Problem]:
    """Every problem, with its place when the document is given."""
    found = []
    for kind, name, one in config.named():
        if isinstance(one, receiving.Syslog | receiving.Http):
            for code, field, text, hint in _wrong(one, folder):
                path = ("logs", "receive", kind, name, field)
                summary = f"{kind} input `{name}`: {text}"
                found.append(
                    document.problem(code, summary, path, hint=hint)
                    if document
                    else problems.Problem(code, summary, hint=hint)
                )
    return found


def _wrong(one: receiving.Syslog | receiving.Http, folder: pathlib.Path) -> list[tuple[str, str, str, str]]:
    """(code, field, what, hint) of each problem."""
    found = []
    try:
        open_ = not addresses.loopback(one.listen)
    except ValueError as error:
        found.append(("logs-input-address", "listen", str(error), "write it as 127.0.0.1:4318"))
        open_ = False
    token = one.token.get_secret_value() if isinstance(one, receiving.Http) and one.token else ""
    shown = one.tls is not None and one.tls.client_ca_file
    if isinstance(one, receiving.Http) and open_ and not token and not shown:
        text = f"other machines reach {one.listen}, and it has no token"
        found.append(
            ("logs-input-open", "listen", text, "give `token_file`, `tls.client_ca_file`, or a loopback address")
        )
    try:
        addresses.context(one.tls, folder)
    except OSError as error:
        found.append(
            ("logs-input-tls", "tls", f"its certificate cannot be used: {error}", "PEM files, key and certificate")
        )
    return found
