"""Who clips and jobs are of, and how much audio clients have had in a day. What is there already is nobody's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("clip", sa.Column("owner", sa.String(length=32), nullable=True))
    op.create_index(op.f("ix_clip_owner"), "clip", ["owner"], unique=False)
    op.add_column("job", sa.Column("owner", sa.String(length=32), nullable=True))
    op.create_index("ix_job_owner", "job", ["owner", "state"], unique=False)
    op.create_table(
        "usage",
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("audio_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "day", name=op.f("pk_usage")),
    )
