-- The accounts that a batch opens: a part of `append.sql`. A trigger fires for a statement without rows, too,
-- so batches that open none go without it.
, accounts as (
    insert into {schema}.account (ledger_id, account_id, code, currency, scale, type, normal)
    select $1, account_id, code, currency, scale, type, normal
    from unnest($22::bigint[], $23::text[], $24::text[], $25::smallint[], $26::text[], $27::text[])
        as row (account_id, code, currency, scale, type, normal)
    where (select count(*) from events) > 0
    returning 1
)
