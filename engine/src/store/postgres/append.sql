-- One statement, one round trip: the events, the accounts they open (for batches that open some), their postings.
--
-- A data-modifying CTE does not by itself run first. The counts make the later inserts wait for the
-- events: so a lost race is reported by event_pkey, and two losers cannot wait for each other. The events
-- in turn wait for a share of the lease: where somebody has taken it, this batch comes after theirs.
with {lease}, events as (
    {events}
    returning 1
)
{accounts}
{postings}
where (select count(*) from events) > 0
