"""A command that must not replace core's."""

import click


@click.command()
def command() -> None:
    """Do something else."""
    click.echo("core's command was overwritten")
