-- The posted balance of these accounts, debit minus credit, of what took effect up to a time, as of a position.
select wanted.ordinal, coalesce(sum(posting.posted), 0) as balance
from unnest($2::bigint[], $3::timestamptz[]) with ordinality as wanted (account_id, effective_at, ordinal)
left join (
    {schema}.posting join {schema}.event on event.ledger_id = posting.ledger_id and event.position = posting.position
) on posting.ledger_id = $1 and posting.account_id = wanted.account_id and posting.position <= $4
    and event.effective_at <= wanted.effective_at
group by wanted.ordinal
