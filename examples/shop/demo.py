"""`make demo`: the story, unattended. Exit 0 when all of it happened, 1 with the log when something did not.

healthy -> gate open -> broken -> alert -> Slack message and mail -> gate shut, with the reason -> repaired -> resolved
messages with duration -> gate open. The rules are those of `rules/shop.yaml` on a faster clock.
"""

from __future__ import annotations

import pathlib
import re
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

import yaml

from examples.shop import inbox as inbox_
from examples.shop import processes

FOLDER = processes.ROOT / ".demo"
FASTER = {"1m": "8s", "5m": "8s", "10s": "2s", "5s": "1s"}


class Story:
    """Tells each step when it has happened, and how long it took."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """One line, with the time since the start."""
        print(f"  {time.monotonic() - self._started:5.1f} s  {text}", flush=True)

    def until(self, what: str, happened: Callable[[], Any], seconds: float = 30) -> Any:
        """Wait until something is true; its value. Raises `TimeoutError`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = happened()
            if found:
                self.say(f"✔ {what}")
                return found
            time.sleep(0.1)
        raise TimeoutError(what)


def configuration(page: int, shop: int, inbox: inbox_.Inbox) -> dict[str, Any]:
    """The shop's settings on a faster clock, with the local receivers."""
    settings: dict[str, Any] = yaml.safe_load((processes.ROOT / "examples/shop/tidegate.yaml").read_text())
    settings["data_dir"] = str(FOLDER / "data")
    settings["web"]["listen"] = f"127.0.0.1:{page}"
    settings["scrape"] |= {"interval": "1s", "timeout": "900ms"}
    settings["scrape"]["jobs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{shop}"]
    settings["scrape"]["jobs"][1]["static_configs"][0]["targets"] = [f"127.0.0.1:{page}"]
    settings["rules"] = {"files": [str(FOLDER / "rules.yaml")], "evaluation_interval": "1s"}
    settings["logs"]["inputs"][0]["paths"] = [str(FOLDER / "logs/*.log")]
    settings["alerts"] = {
        "global": {
            "slack_api_url": inbox.slack_url,
            "smtp_smarthost": inbox.mail_address,
            "smtp_from": "tidegate@shop.example",
            "smtp_require_tls": False,
        },
        "route": {"receiver": "team", "group_by": ["service"], "group_wait": "1s", "group_interval": "2s"},
        "receivers": [
            {
                "name": "team",
                "slack_configs": [{"channel": "#shop", "send_resolved": True}],
                "email_configs": [{"to": "on-call@shop.example", "send_resolved": True}],
            }
        ],
    }
    return settings


def prepare(page: int, shop: int, inbox: inbox_.Inbox) -> pathlib.Path:
    """Write settings and rules; the settings' path."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "logs").mkdir(parents=True)
    rules = (processes.ROOT / "rules/shop.yaml").read_text()
    (FOLDER / "rules.yaml").write_text(re.sub(r"\b(1m|5m|10s|5s)\b", lambda found: FASTER[found[0]], rules))
    path = FOLDER / "tidegate.yaml"
    path.write_text(yaml.safe_dump(configuration(page, shop, inbox), sort_keys=False))
    return path


def play(story: Story, page: str, shop: str, inbox: inbox_.Inbox) -> None:
    """The story itself. Raises `TimeoutError` with the step that did not happen."""
    gate = f"{page}/v1/gate/production/shop?version=1.1.0"
    story.until("Tidegate is ready", lambda: processes.get(f"{page}/-/ready")[0] == 200)
    story.until("healthy: the gate says allow", lambda: processes.get(gate)[0] == 200)
    processes.get(f"{shop}/break?what=errors")
    story.say("  the shop is broken: 40 % of its answers are errors")
    story.until("an alert fires", lambda: firing(page))
    slack = story.until("Slack is told", lambda: inbox.slack and inbox.slack[0])
    mail = story.until("the mail arrives", lambda: inbox.mails and inbox.mails[0])
    story.say(f"    Slack: {slack.get('text', '')[:100]}")
    story.say(f"    mail:  {mail['subject']}")
    verdict = story.until("the gate says deny", lambda: denied(gate))
    story.say(f"    because: {verdict['message']}")
    processes.get(f"{shop}/repair")
    story.say("  the shop is repaired")
    story.until("no alert fires", lambda: not firing(page))
    resolved = story.until("Slack is told that it is over", lambda: resolved_in(inbox))
    story.say(f"    Slack: {resolved[:100]}")
    story.until(
        "the mail that it is over arrives", lambda: any("RESOLVED" in mail["subject"].upper() for mail in inbox.mails)
    )
    story.until("the gate says allow again", lambda: processes.get(gate)[0] == 200)


def firing(page: str) -> list[Any]:
    """The firing alerts."""
    _, body = processes.get(f"{page}/api/v1/alerts")
    return [alert for alert in body["data"]["alerts"] if alert["state"] == "firing"]


def denied(gate: str) -> dict[str, Any] | None:
    """The verdict, if it is `deny`."""
    code, body = processes.get(gate)
    return body if code == 409 and body["verdict"] == "deny" else None


def resolved_in(inbox: inbox_.Inbox) -> str:
    """The text of the resolved message."""
    texts = [str(message.get("text", "")) for message in inbox.slack]
    return next((text for text in texts if "resolved" in text.lower()), "")


def main() -> int:
    """Play the story."""
    page, shop = processes.free_port(), processes.free_port()
    log = FOLDER / "log"
    story = Story()
    print("Tidegate's story, with the sample shop:\n", flush=True)
    with inbox_.open_inbox() as inbox:
        config = prepare(page, shop, inbox)
        with processes.running(processes.shop(shop, FOLDER / "logs"), processes.tidegate(config), log=log):
            try:
                play(story, f"http://127.0.0.1:{page}", f"http://127.0.0.1:{shop}", inbox)
            except TimeoutError as error:
                print(f"\n✘ did not happen: {error}\n\n{log.read_text()[-4000:]}", file=sys.stderr)
                return 1
    story.say("the end: everything happened, and all is stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
