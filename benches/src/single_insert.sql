with entry as (
    insert into {schema}.limit_event
        (ledger_id, position, id, kind, schema, data, meta, effective_at, recorded_at, hash)
    values ($1::bigint, $2::bigint, $3::text, 'entry.posted', 1, $4::text::json, $5::text::json,
            $6::text::timestamptz, $6::text::timestamptz, $7::bytea)
)
insert into {schema}.limit_posting
    (ledger_id, account_id, position, leg, posted, pending,
     debits_posted, credits_posted, debits_pending, credits_pending)
select $1, leg.account_id, $2, leg.number, leg.posted, 0,
       coalesce(before.debits_posted, 0) + greatest(leg.posted, 0),
       coalesce(before.credits_posted, 0) + greatest(-leg.posted, 0),
       coalesce(before.debits_pending, 0), coalesce(before.credits_pending, 0)
from (values (0, $8::bigint, $9::text::numeric), (1, $10::bigint, $11::text::numeric))
    as leg (number, account_id, posted)
left join lateral (
    select debits_posted, credits_posted, debits_pending, credits_pending
    from {schema}.limit_posting p
    where p.ledger_id = $1 and p.account_id = leg.account_id
    order by position desc, p.leg desc
    limit 1
) before on true
