-- A page of accounts, with the totals of what took effect within a span of time, as of a position.
--
-- Which side a pending amount stands on is told by the running totals: the leg before it is the account's
-- own. What a hold reserved is released no earlier than the hold itself takes effect.
with page as (
    select account_id, code, currency, scale, type, normal from {schema}.account
    where ledger_id = $1 and account_id <= $2 and {codes} and (code, currency) > ($4, $5)
    order by code, currency limit $6
), moved as (
    select posting.account_id, posting.posted, event.effective_at,
        greatest(event.effective_at, placed.effective_at) as pending_at,
        posting.debits_pending - lag(posting.debits_pending, 1, 0::numeric) over legs as debits_pending,
        posting.credits_pending - lag(posting.credits_pending, 1, 0::numeric) over legs as credits_pending
    from page
    join {schema}.posting on posting.ledger_id = $1 and posting.account_id = page.account_id
        and posting.position <= $2
    join {schema}.event on event.ledger_id = $1 and event.position = posting.position
    left join {schema}.event as placed on placed.ledger_id = $1 and placed.position =
        case when posting.pending <> 0 and event.kind <> 'hold.placed' then (event.data ->> 'placed')::bigint end
    window legs as (partition by posting.account_id order by posting.position, posting.leg)
), total as (
    select account_id,
        sum(greatest(posted, 0)) filter (where posts) as debits_posted,
        sum(greatest(-posted, 0)) filter (where posts) as credits_posted,
        sum(debits_pending) filter (where pends) as debits_pending,
        sum(credits_pending) filter (where pends) as credits_pending
    from (
        select *, ($7::timestamptz is null or effective_at >= $7) and ($8::timestamptz is null or effective_at <= $8) as posts,
            ($7::timestamptz is null or pending_at >= $7) and ($8::timestamptz is null or pending_at <= $8) as pends
        from moved
    ) as leg
    group by account_id
)
select page.*,
    coalesce(total.debits_posted, 0) as debits_posted, coalesce(total.credits_posted, 0) as credits_posted,
    coalesce(total.debits_pending, 0) as debits_pending, coalesce(total.credits_pending, 0) as credits_pending
from page left join total using (account_id)
order by page.code, page.currency
