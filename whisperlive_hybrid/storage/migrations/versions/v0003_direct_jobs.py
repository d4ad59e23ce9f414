"""Where a job was asked for, and whether more than its row is kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("job", sa.Column("route", sa.String(length=64), nullable=True))
    op.add_column("job", sa.Column("kept", sa.Boolean(), nullable=False, server_default=sa.true()))
