-- The newest event of each of these streams as of a position.
select event.* from unnest($2::text[]) as wanted (stream)
cross join lateral (
    select {columns} from {schema}.event
    where ledger_id = $1 and stream = wanted.stream and position <= $3
    order by stream desc, version desc limit 1
) as event
