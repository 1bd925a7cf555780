-- The end of the log as this transaction sees it, whose log it is, and whether later statements of the
-- transaction will see what others commit meanwhile.
select ledger.name, current_setting('transaction_isolation') as isolation, head.position, head.hash, head.recorded_at
from {schema}.ledger
left join lateral (
    select position, hash, recorded_at from {schema}.event
    where ledger_id = ledger.ledger_id
    order by position desc limit 1
) as head on true
where ledger.ledger_id = $1
