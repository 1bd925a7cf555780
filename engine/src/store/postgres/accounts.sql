-- Accounts behind one of them, in order of their numbers, with the running totals of their newest posting
-- as of a position.
select account.code, account.account_id, account.currency, account.scale, account.type, account.normal,
    coalesce(newest.debits_posted, 0) as debits_posted, coalesce(newest.credits_posted, 0) as credits_posted,
    coalesce(newest.debits_pending, 0) as debits_pending, coalesce(newest.credits_pending, 0) as credits_pending
from (
    select * from {schema}.account where ledger_id = $1 and account_id > $2 and account_id <= $3
    order by account_id limit $4
) as account
left join lateral (
    select debits_posted, credits_posted, debits_pending, credits_pending from {schema}.posting
    where ledger_id = $1 and account_id = account.account_id and position <= $3
    order by account_id desc, position desc, leg desc limit 1
) as newest on true
order by account.account_id
