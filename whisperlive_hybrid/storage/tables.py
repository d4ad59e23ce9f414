"""Tables of clips, jobs, transcripts and webhooks. The schema is made and changed by the migrations beside this file;
a test compares the two.

Times are Unix seconds, positions in audio are samples at 16 kHz. An owner is the client that a row counts for, as a
digest; none is nobody, which rows of before there were owners are of. What is in `options`, `body` and `result` is the
caller's business.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
    true,
)

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Number = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER numbers rows by itself in SQLite

clip: Final = Table(
    "clip",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("media_type", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("duration_s", Double),
    Column("source_url", Text),
    Column("created_at", Double, nullable=False, index=True),
    Column("owner", String(32), index=True),
)

batch: Final = Table(
    "batch",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("created_at", Double, nullable=False, index=True),
)

job: Final = Table(
    "job",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("batch_id", String(32), ForeignKey("batch.id", ondelete="CASCADE"), index=True),
    Column("clip_id", String(32), ForeignKey("clip.id", ondelete="CASCADE"), index=True),
    Column("source_url", Text),
    Column("route", String(64)),
    Column("kept", Boolean, nullable=False, server_default=true()),
    Column("options", LargeBinary, nullable=False),
    Column("model", String(512), nullable=False),
    Column("content_key", String(64)),
    Column("fresh", Boolean, nullable=False),
    Column("callback_url", Text),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("not_before", Double, nullable=False),
    Column("lease", String(64)),
    Column("lease_until", Double),
    Column("cancel_asked", Boolean, nullable=False),
    Column("done_s", Double, nullable=False),
    Column("total_s", Double),
    Column("n_segments", Integer, nullable=False),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("created_at", Double, nullable=False, index=True),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("owner", String(32)),
    CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", "state"),
    Index("ix_job_queue", "state", text("priority DESC"), "id"),
    Index("ix_job_content", "content_key", "state"),
    Index("ix_job_owner", "owner", "state"),
)

chunk: Final = Table(
    "chunk",
    METADATA,
    Column("job_id", String(32), ForeignKey("job.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

transcript: Final = Table(
    "transcript",
    METADATA,
    # Full text search refers to rows by number, which must not change (SQLite renumbers rows without one on VACUUM).
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("job_id", String(32), ForeignKey("job.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("clip_id", String(32), ForeignKey("clip.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("text", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False, index=True),
)

delivery: Final = Table(
    "delivery",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("job_id", String(32), nullable=False, index=True),  # outlives its job
    Column("event", String(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("lease", String(64)),
    Column("lease_until", Double),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("created_at", Double, nullable=False, index=True),
    Column("delivered_at", Double),
    CheckConstraint("state IN ('waiting', 'delivered', 'failed')", "state"),
    Index("ix_delivery_queue", "state", "next_at"),
)

idempotency: Final = Table(
    "idempotency",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("result", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False, index=True),
)

usage: Final = Table(
    "usage",
    METADATA,
    Column("owner", String(32), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("audio_s", Double, nullable=False),
)
