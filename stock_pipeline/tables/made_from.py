"""What a silver or gold object was made from, as its footer says."""

from __future__ import annotations

from pydantic import Field

from stock_pipeline.ingest.documents import Document


class MadeFrom(Document):
    """Footer of a silver or gold object: what it was made from, compared by the due rule."""

    #: Silver: per feed, merged half-open intervals of sequence numbers that were examined.
    examined: dict[str, tuple[tuple[int, int], ...]] = Field(default_factory=dict)
    #: Inputs that are lake objects: key to ETag (intraday days of bars_daily; silver of gold).
    etags: dict[str, str] = Field(default_factory=dict)
    #: Digest of the EWMA state taken over from the year before; "" where there is none.
    state_before: str = ""
    #: EWMA state at the end of this year, per symbol: [variance per session, last price]; with its
    #: digest, so that next year's object is due only when the state really changed.
    state: dict[str, tuple[float | None, float]] = Field(default_factory=dict)
    state_digest: str = ""
    #: Digest of the SQL text and settings: new code makes a partition due again.
    definition: str = ""
    run_id: str = ""
    rows: int = 0

    @classmethod
    def of_footer(cls, footer: bytes | None) -> MadeFrom:
        """What a footer says; without one the object is not ours, and was made from nothing known.

        Raises:
            ValidationError: The footer is none of ours.
        """
        return cls.model_validate_json(footer) if footer else cls()
