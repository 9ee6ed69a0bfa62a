"""`tidegate deploy`: tell the ledger that a version came to an environment."""

from __future__ import annotations

import pathlib

import click

from tidegate.cli import client, options


@click.command()
@click.option("--env", "-e", "environment", required=True, help="The environment.")
@click.option("--service", required=True, help="The service.")
@click.option("--version", "version", required=True, help="The version.")
@click.option("--digest", default="", help="The image's digest.")
@click.option("--url", default="", help="The pipeline's run.")
@click.option("--id", "deploy_id", default="", help="Your own id: the same id again changes nothing.")
@options.server
def deploy(
    environment: str,
    service: str,
    version: str,
    digest: str,
    url: str,
    deploy_id: str,
    server: str,
    token_file: pathlib.Path | None,
) -> None:
    """Record a deploy.

    \b
    Example:
      tidegate deploy --env production --service shop --version 1.4.0
    """
    given = {
        "environment": environment,
        "service": service,
        "version": version,
        "digest": digest,
        "url": url,
        "id": deploy_id,
    }
    body = {name: value for name, value in given.items() if value}
    answer = client.answer("POST", server, "/v1/deploys", json=body, token=options.token(token_file))
    click.echo(f"recorded {answer['id']}")
