"""What anybody may see of the settings: everything but secrets."""

from __future__ import annotations

import yaml

from tidegate.kit import shown
from tidegate.model import settings

HIDDEN = "hunter2"


def test_no_secret_is_shown() -> None:
    given = settings.Settings.model_validate(
        {
            "web": {"tokens": {"ci": {"token": HIDDEN}}},
            "state": {"url": f"postgresql://u:{HIDDEN}@db/x"},
            "scrape": {"jobs": [{"job_name": "a", "bearer_token": HIDDEN, "metrics_path": "/m"}]},
            "alerts": {
                "global": {"smtp_auth_password": HIDDEN},
                "receivers": [{"name": "team", "slack_configs": [{"api_url": f"https://hooks.example/{HIDDEN}"}]}],
                "route": {"receiver": "team"},
            },
            "logs": {"elasticsearch": {"api_key": HIDDEN, "username": "shipper"}},
        }
    )
    text = shown.text(given)
    assert HIDDEN not in text
    found = yaml.safe_load(text)
    assert found["web"]["tokens"]["ci"]["token"] == shown.SECRET
    assert found["scrape"]["jobs"][0] == {"job_name": "a", "metrics_path": "/m", "bearer_token": shown.SECRET}
    assert found["alerts"]["receivers"] == [{"name": "team", "slack_configs": "(1 not shown)"}]
    assert found["logs"]["elasticsearch"]["username"] == "shipper"


def test_defaults_are_left_out() -> None:
    assert yaml.safe_load(shown.text(settings.Settings())) == {}
