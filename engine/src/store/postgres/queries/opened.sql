-- What opened these accounts.
select account.account_id, opening.data::text as opened
from unnest($2::text[], $3::text[]) as wanted (code, currency)
cross join lateral (
    select account_id from {schema}.account
    where ledger_id = $1 and code = wanted.code and currency = wanted.currency
) as account
join {schema}.event as opening on opening.ledger_id = $1 and opening.position = account.account_id
