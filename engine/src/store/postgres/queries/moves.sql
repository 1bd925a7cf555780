-- A page of the posted legs of an account in order of effective time. The events' data is looked at for
-- the rows of the page only.
select page.*, event.recorded_at, event.id, event.kind, event.data ->> 'text' as text,
    event.data ->> 'reverses' as reverses
from (
    select posting.position, posting.leg, posting.posted, event.effective_at
    from {schema}.posting
    join {schema}.event on event.ledger_id = $1 and event.position = posting.position
    where posting.ledger_id = $1 and posting.account_id = $2 and posting.position <= $3 and posting.posted <> 0
        and ($4::timestamptz is null or event.effective_at >= $4)
        and ($5::timestamptz is null or event.effective_at < $5)
        and ($6::timestamptz is null or (event.effective_at, posting.position, posting.leg) > ($6, $7, $8))
    order by event.effective_at, posting.position, posting.leg limit $9
) as page
join {schema}.event on event.ledger_id = $1 and event.position = page.position
order by page.effective_at, page.position, page.leg
