-- A page of accounts, with the totals of what took effect within a span of time, as of a position.
--
-- Only a hold makes something pending, all else releases it: that and the sign tell on which side a pending
-- amount stands. What a hold reserved is released no earlier than the hold itself takes effect.
with page as (
    select account_id, code, currency, scale, type, normal from {schema}.account
    where ledger_id = $1 and account_id <= $2 and {codes} and (code, currency) > ($4, $5)
    order by code, currency limit $6
), moved as (
    select posting.account_id, posting.posted, posting.pending, event.effective_at,
        (posting.pending > 0) = (event.kind = 'hold.placed') as pends_debit,
        case when posting.pending = 0 then null
            when event.kind = 'hold.placed' then event.effective_at
            else greatest(event.effective_at, (
                -- Found again for its data, which need not be carried along for all the others.
                select placed.effective_at from {schema}.event as release
                join {schema}.event as placed
                    on placed.ledger_id = $1 and placed.position = (release.data ->> 'placed')::bigint
                where release.ledger_id = $1 and release.position = posting.position
            ))
        end as pending_at
    from page
    join {schema}.posting on posting.ledger_id = $1 and posting.account_id = page.account_id
        and posting.position <= $2
    join {schema}.event on event.ledger_id = $1 and event.position = posting.position
    offset 0 -- Each row's time is found once, not once for each sum.
), total as (
    select account_id,
        sum(posted) filter (where posted > 0 and posts) as debits_posted,
        -sum(posted) filter (where posted < 0 and posts) as credits_posted,
        sum(pending) filter (where pends_debit and pends) as debits_pending,
        -sum(pending) filter (where not pends_debit and pends) as credits_pending
    from (
        select *,
            ($7::timestamptz is null or effective_at >= $7) and ($8::timestamptz is null or effective_at <= $8) as posts,
            pending_at is not null and ($7::timestamptz is null or pending_at >= $7)
                and ($8::timestamptz is null or pending_at <= $8) as pends
        from moved
    ) as leg
    group by account_id
)
select page.*,
    coalesce(total.debits_posted, 0) as debits_posted, coalesce(total.credits_posted, 0) as credits_posted,
    coalesce(total.debits_pending, 0) as debits_pending, coalesce(total.credits_pending, 0) as credits_pending
from page left join total using (account_id)
order by page.code, page.currency
