-- The accounts of these codes as of a position: what opened them, what was changed of them since, the
-- running totals of their newest posting, and what that day's newest entry says of the outflow where the
-- account counts it. Each look-up is fenced off, by an order or a limit: the planner thinks little of a ledger that
-- is newer than its statistics, and would read the ledger's whole log for every row just as gladly.
select account.code, account.account_id, opening.data::text as opened,
    changed.version as changes, changed.status,
    coalesce(newest.debits_posted, 0) as debits_posted, coalesce(newest.credits_posted, 0) as credits_posted,
    coalesce(newest.debits_pending, 0) as debits_pending, coalesce(newest.credits_pending, 0) as credits_pending,
    outflow.outs, outflow.recorded_at
from unnest($2::text[]) as wanted (code)
cross join lateral (
    select account_id, code from {schema}.account
    where ledger_id = $1 and code = wanted.code and account_id <= $3
    order by code, currency
) as account
cross join lateral (
    select data from {schema}.event where ledger_id = $1 and position = account.account_id limit 1
) as opening
left join lateral (
    select version, data ->> 'status' as status from {schema}.event
    where ledger_id = $1 and stream = 'account:' || account.account_id and position <= $3
    order by stream desc, version desc limit 1
) as changed on true
left join lateral (
    select position, debits_posted, credits_posted, debits_pending, credits_pending from {schema}.posting
    where ledger_id = $1 and account_id = account.account_id and position <= $3
    order by account_id desc, position desc, leg desc limit 1
) as newest on true
left join lateral (
    select entry.data ->> 'out' as outs, entry.recorded_at
    from {schema}.posting
    cross join lateral (
        select data, recorded_at from {schema}.event where ledger_id = $1 and position = posting.position limit 1
    ) as entry
    where (opening.data -> 'limits' ->> 'daily_out' is not null or changed.status::json ->> 'counting' = 'true')
        and posting.ledger_id = $1 and posting.account_id = account.account_id and posting.position <= $3
        and entry.recorded_at >= (
            select date_trunc('day', recorded_at, 'UTC') from {schema}.event where ledger_id = $1 and position = $3
        )
        and exists (
            select from json_array_elements(entry.data -> 'out') as let_out
            where let_out ->> 'account' = opening.data ->> 'account' and let_out ->> 'currency' = opening.data ->> 'currency'
        )
    order by posting.account_id desc, posting.position desc limit 1
) as outflow on true
order by account.account_id
