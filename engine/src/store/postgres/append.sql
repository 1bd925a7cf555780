-- One statement, one round trip: the events, the accounts they open (`append_accounts.sql`, for
-- batches that open some), their postings.
--
-- A data-modifying CTE does not by itself run first. The counts make the later inserts wait for the
-- events: so a lost race is reported by event_pkey, and two losers cannot wait for each other. The events
-- in turn wait for a share of the lease: where somebody has taken it, this batch comes after theirs.
with lease as materialized (
    select pg_advisory_xact_lock_shared({lease_key})
), events as (
    insert into {schema}.event
        (ledger_id, position, id, stream, version, kind, schema, data, meta, effective_at, recorded_at, hash)
    select $1, position, id, stream, version, kind, schema, data::json, meta::json, effective_at, recorded_at, hash
    from unnest(
        $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::smallint[],
        $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[], $12::bytea[]
    ) as row (position, id, stream, version, kind, schema, data, meta, effective_at, recorded_at, hash)
    where (select count(*) from lease) > 0
    returning 1
)
{accounts}
insert into {schema}.posting
    (ledger_id, account_id, position, leg, posted, pending,
     debits_posted, credits_posted, debits_pending, credits_pending)
select $1, account_id, position, leg, posted, pending, debits_posted, credits_posted, debits_pending, credits_pending
from unnest(
    $13::bigint[], $14::bigint[], $15::integer[], $16::numeric[], $17::numeric[],
    $18::numeric[], $19::numeric[], $20::numeric[], $21::numeric[]
) as row (account_id, position, leg, posted, pending, debits_posted, credits_posted, debits_pending, credits_pending)
where (select count(*) from events) > 0
