insert into {schema}.posting
    (ledger_id, account_id, position, leg, posted, pending,
     debits_posted, credits_posted, debits_pending, credits_pending)
select $1, account_id, position, leg, posted, pending, debits_posted, credits_posted, debits_pending, credits_pending
from unnest(
    {1}::bigint[], {2}::bigint[], {3}::integer[], {4}::numeric[], {5}::numeric[],
    {6}::numeric[], {7}::numeric[], {8}::numeric[], {9}::numeric[]
) as row (account_id, position, leg, posted, pending, debits_posted, credits_posted, debits_pending, credits_pending)
