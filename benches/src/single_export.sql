select e.ledger_id, e.position, e.id, e.data::text, e.meta::text, e.recorded_at::text, e.hash,
       one.account_id, one.posted::text, other.account_id, other.posted::text
from {schema}.event e
join {schema}.posting one on one.ledger_id = e.ledger_id and one.position = e.position and one.leg = 0
join {schema}.posting other on other.ledger_id = e.ledger_id and other.position = e.position and other.leg = 1
where e.kind = 'entry.posted'
order by e.position
