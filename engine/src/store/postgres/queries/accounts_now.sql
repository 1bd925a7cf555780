-- A page of accounts, with the running totals of their newest posting as of a position.
with page as (
    select account_id, code, currency, scale, type, normal from {schema}.account
    where ledger_id = $1 and account_id <= $2 and {codes} and (code, currency) > ($4, $5)
    order by code, currency limit $6
)
select page.*,
    coalesce(newest.debits_posted, 0) as debits_posted, coalesce(newest.credits_posted, 0) as credits_posted,
    coalesce(newest.debits_pending, 0) as debits_pending, coalesce(newest.credits_pending, 0) as credits_pending
from page
left join lateral (
    select debits_posted, credits_posted, debits_pending, credits_pending from {schema}.posting
    where ledger_id = $1 and account_id = page.account_id and position <= $2
    order by account_id desc, position desc, leg desc limit 1
) as newest on true
order by page.code, page.currency
