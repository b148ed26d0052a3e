"""The command line: ``serve``, ``migrate``, ``psql`` and ``audit``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from api import __version__, logs, settings, workers
from api.settings import SettingError, Settings
from db import embedded, migrate
from db.audit import audit
from db.session import Error

logger = logging.getLogger("api")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 1 if something is wrong, 2 for incorrect usage."""
    options = _parser().parse_args(arguments)
    try:
        checked = settings.read(vars(options), os.environ)
        logs.set_up(checked.log_format)
        code: int = options.command(checked, options)
        return code
    except SettingError as error:
        print(f"ticket-allocation: {error}", file=sys.stderr)
        return 2
    except embedded.DataDirError as error:
        hint = (
            "Set DATA_DIR to use a different folder, or DATABASE_URL to use a different database."
        )
        print(f"ticket-allocation: {error}. {hint}", file=sys.stderr)
        return 2
    except (migrate.MigrationError, workers.PortTakenError, Error) as error:
        print(f"ticket-allocation: {str(error).strip()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ticket-allocation",
        description="Sells tickets from an allocation, and never more than there are.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: object, help: str) -> argparse.ArgumentParser:
        subparser = commands.add_parser(name, help=help, description=help)
        subparser.set_defaults(command=command)
        settings.add_arguments(subparser)
        return subparser

    add("serve", _serve, "serve HTTP, on the embedded PostgreSQL unless DATABASE_URL is set")
    migrating = add("migrate", _migrate, "migrate the database to the version of this build")
    only = migrating.add_mutually_exclusive_group()
    only.add_argument(
        "--check",
        action="store_true",
        help="change nothing; print the differences, and exit with 1 if there are any",
    )
    only.add_argument("--rollback", action="store_true", help="undo the last migration")
    migrating.add_argument(
        "--delete-data",
        action="store_true",
        help="with --rollback: undo it even if that deletes rows or values",
    )
    psql = add("psql", _psql, "open psql as ticketing_operator")
    psql.add_argument("arguments", nargs="*", help="psql's own arguments, after --")
    add(
        "audit",
        _audit,
        "print the allocations that do not add up, and exit with 1 if there are any",
    )
    return parser


def _serve(checked: Settings, options: argparse.Namespace) -> int:
    with _database(checked, checked.database_url, creates=True) as database:
        if checked.database_url is None:
            migrate.migrate(database, wait_seconds=checked.migration_lock_timeout_seconds)
        workers.serve(checked, checked.service_conninfo(database), lambda: _say_where(checked))
    return 0


def _say_where(checked: Settings) -> None:
    host = f"[{checked.host}]" if ":" in checked.host else checked.host or "127.0.0.1"
    url = f"http://{host}:{checked.port}"
    if checked.log_format == "json":
        logger.info("listening at %s", url)
        return
    psql = f"{sys.executable} -m api psql"
    if checked.database_url is None:
        psql += f" --data-dir {checked.data_dir.resolve()}"
    print(
        f"""
Ticket Allocation is at {url} (Ctrl-C stops it).

Put 100 tickets on sale:

    curl -i {url}/ticket_options -H 'Content-Type: application/json' \\
         -d '{{"name": "example", "desc": "sample description", "allocation": 100}}'

Open psql on its database:

    {psql}
""",
        flush=True,
    )


def _migrate(checked: Settings, options: argparse.Namespace) -> int:
    if options.delete_data and not options.rollback:
        raise SettingError("--delete-data requires --rollback")
    url = checked.migration_database_url or checked.database_url
    with _database(checked, url, creates=not (options.check or options.rollback)) as database:
        if options.check:
            differences = migrate.check(database)
            print("\n".join(differences) or "The database matches this build.")
            return 1 if differences else 0
        wait_seconds = checked.migration_lock_timeout_seconds
        if options.rollback:
            undone = migrate.rollback(
                database, delete_data=options.delete_data, wait_seconds=wait_seconds
            )
            print(f"Rolled back {undone}." if undone else "There is nothing to roll back.")
            return 0
        applied = migrate.migrate(database, wait_seconds=wait_seconds)
        print("\n".join(f"Applied {name}." for name in applied) or "There was nothing to do.")
        return 0


def _psql(checked: Settings, options: argparse.Namespace) -> int:
    environment = dict(
        os.environ
    )  # as it is now, before our own connections change it for their session
    with _database(checked, checked.operator_database_url or checked.database_url) as database:
        # Ctrl-C is for psql, where it cancels a statement.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        conninfo = checked.operator_conninfo(database)
        command = [embedded.program("psql"), conninfo, *options.arguments]
        return subprocess.run(command, env=environment).returncode


def _audit(checked: Settings, options: argparse.Namespace) -> int:
    with _database(checked, checked.operator_database_url or checked.database_url) as database:
        wrong, count = audit(checked.operator_conninfo(database))
    for each in wrong:
        print(
            f"{each.option_id} {each.name!r}: "
            f"capacity {each.capacity}, left {each.allocation}, held {each.held}, "
            f"sold {each.sold}: {each.findings}"
        )
    print(f"{len(wrong)} of {count} allocations are wrong.")
    return 1 if wrong else 0


@contextmanager
def _database(checked: Settings, url: str | None, *, creates: bool = False) -> Iterator[str]:
    """How to connect: by the URL, or else to the embedded server, which runs until the end.

    Args:
        creates: whether the embedded server's files are created if there are none.
    """
    if url is not None:
        yield url
    elif not creates and not embedded.exists(checked.data_dir):
        raise SettingError(
            f"DATA_DIR: there is no embedded PostgreSQL in {checked.data_dir.resolve()}; "
            "name the folder that `serve` was started with, or set DATABASE_URL"
        )
    else:
        with embedded.serving(checked.data_dir) as conninfo:
            yield conninfo


if __name__ == "__main__":
    sys.exit(main())
