"""Indexes by which the next job of a long queue is found without a look at the others; failures apart from losses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("job", sa.Column("failures", sa.Integer(), nullable=False, server_default="0"))
    op.drop_index("ix_job_queue", table_name="job")
    op.create_index("ix_job_queue", "job", ["state", sa.text("priority DESC"), "id"], unique=False)
    op.drop_index("ix_job_content_key", table_name="job")
    op.create_index("ix_job_content", "job", ["content_key", "state"], unique=False)
