"""Every fault that delivery is tested under, by name, in the order of the published table. Data only.

A test reports under one of these names, and `python -m tests.faults` fails when a name got no row.
"""

from __future__ import annotations

ROTATION = (
    "rename rotation 5 times",
    "rename with the copy in the pattern",
    "rename under backpressure",
    "renamed twice while the first is unread",
    "renamed thrice between two looks",
    "compressed and deleted while unread",
    "rotated and deleted in an outage",
    "renamed twice while down",
    "renamed twice while down, the copies in the pattern",
    "symlink swap as kubelet does it",
    "one line, and its container exits",
    "CRI parts over rotation and restart",
    "unfinished line completed after a restart",
)
TRUNCATION = (
    "copytruncate when caught up",
    "copytruncate with the copy in the pattern",
    "copytruncate with an unread tail that the copy has",
    "truncated with an unread tail and no copy",
    "stale writer leaves a hole of zeros",
    "truncated and grown past the old end between looks",
    "truncated while down",
)
IDENTITY = (
    "inode reuse while up",
    "inode reuse while down",
    "inode reuse while up, under another name",
    "inode reuse while down, under another name",
    "100 files with an equal first 4 KiB",
    "first line that is the start of another",
    "clock jumps forwards and back",
    "time of change in the past",
)
PROCESS = (
    "SIGKILL 20 times under writing",
    "killed 20 times at every step",
    "SIGKILL during 503",
    "SIGTERM in an outage, 5 s of grace",
    "trace closed by time, then killed",
    "a batch that dies of a fault of our own",
    "checkpoint torn",
    "checkpoint with a byte changed",
    "checkpoint empty",
    "state lost altogether",
    "state directory full",
    "state directory read-only",
    "state schema of a later version",
    "state schema of an earlier version",
    "configuration changed 100 times under load",
    "input taken away and given back",
    "start at the end",
)
OUTAGES = (
    "Elasticsearch gone for 30 s",
    "Elasticsearch gone for 10 min",
    "Elasticsearch gone for 24 h",
    "connections refused",
    "half-open connections and another node",
    "requests taken byte by byte",
    "stored, then cut, 30 %",
    "rollover between try and retry",
    "memory in an outage",
)
ANSWERS = (
    "nothing wrong",
    "whole 429",
    "whole 500",
    "whole 502",
    "whole 503",
    "whole 504",
    "item 429 for half",
    "item 429 for all",
    "item 503 for a third",
    "item 409 for all",
    "flood-stage block for 10 min",
    "poison 0.1 %",
    "poison to the dead-letter file",
    "one stream all poison",
    "unreadable answers",
    "short answers to 10,000 items",
    "413 at 1 MB",
    "whole 400 for one document",
    "HTML from a proxy",
    "HTML with status 200",
    "whole 301",
    "whole 403",
    "whole 404",
    "item 403 for an hour",
    "item 404 for an hour",
    "401, then a new key",
    "failure store used",
)
LINES = (
    "line of 1 MB",
    "line of 100 MB",
    "1 GB without a newline",
    "invalid UTF-8",
    "NUL bytes",
    "byte order mark",
    "UTF-16",
    "app beside app.kubernetes.io/name",
)
MANY = (
    "10,000 files with churn, 1024 descriptors, no inotify",
    "300 files and 10 descriptors",
    "one hot file among 100 quiet ones",
    "permission lost and restored",
    "folder's permission lost and restored",
    "own log in the pattern",
)
SPOOLS = (
    "outage, spool full (block), drained",
    "outage, spool full (drop-oldest)",
)
REAL = (
    "rotation, real server",
    "server killed and started again",
    "server stopped and started again",
    "read-only-allow-delete block set and cleared",
    "rollover under writing",
    "mapping conflict",
    "app beside app.kubernetes.io/name, real server",
    "API key revoked and replaced",
    "failure store, real server",
)
GROUPS = {
    "Rotation": ROTATION,
    "Truncation": TRUNCATION,
    "Identity and time": IDENTITY,
    "The process and its state": PROCESS,
    "Elasticsearch away": OUTAGES,
    "What Elasticsearch answers": ANSWERS,
    "Lines": LINES,
    "Many files": MANY,
    "Inputs that cannot be read again": SPOOLS,
    "Real servers": REAL,
}
ALL = tuple(name for group in GROUPS.values() for name in group)
