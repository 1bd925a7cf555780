-- Rows that stand where the log has no place for them: before its first position, or accounts behind its end. Of each
-- kind the first, and where in the log it tells of something wrong.
with log as (
    select coalesce((select position from {schema}.event where ledger_id = $1 order by position desc limit 1), 0) as head
)
(select 'event.position' as "column", position as stands_at, 0::bigint as position from {schema}.event
    where ledger_id = $1 and position < 1 order by position limit 1)
union all
(select 'account.account_id', account_id, 0 from {schema}.account
    where ledger_id = $1 and account_id < 1 order by account_id limit 1)
union all
(select 'account.account_id', account_id, head + 1 from {schema}.account, log
    where ledger_id = $1 and account_id > head order by account_id limit 1)
