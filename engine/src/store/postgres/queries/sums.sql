-- What the posted legs of an account come to before a span of time, up to a place within, and before its end.
select
    coalesce(sum(posting.posted) filter (where event.effective_at < $4), 0) as opening,
    coalesce(sum(posting.posted) filter (
        where event.effective_at < $4 or (event.effective_at, posting.position, posting.leg) <= ($6, $7, $8)
    ), 0) as forward,
    coalesce(sum(posting.posted) filter (where $5::timestamptz is null or event.effective_at < $5), 0) as closing
from {schema}.posting
join {schema}.event on event.ledger_id = $1 and event.position = posting.position
where posting.ledger_id = $1 and posting.account_id = $2 and posting.position <= $3 and posting.posted <> 0
