"""The schema brought up to date, in one transaction. Alembic is loaded only where there is something to do."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, inspect, text

from whisperlive_hybrid.storage.tables import METADATA

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext

HEAD: Final = "0004"
"""The newest step under `migrations/versions`."""
_ADVISORY_LOCK: Final = 7_266_541_120
"""One process at a time changes a PostgreSQL schema; the number is ours by choice."""


class SchemaTooNew(Exception):
    """The database was written by a newer version of this program."""


def bring_up_to_date(connection: Connection) -> None:
    """Run the steps that are missing. Raises SchemaTooNew."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    at = _revision(connection)
    if at == HEAD:
        return
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each of its plugins
    script = ScriptDirectory(str(Path(__file__).parent / "migrations"))
    if at is not None and at not in {revision.revision for revision in script.walk_revisions()}:
        raise SchemaTooNew(f"its schema is {at}, this version knows {HEAD}")

    def missing(now: Any, _: MigrationContext) -> Any:
        return script._upgrade_revs("head", now)  # as Alembic's own upgrade command has it

    with EnvironmentContext(Config(), script, fn=missing) as environment:
        environment.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
        environment.run_migrations()


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision
