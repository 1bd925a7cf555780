-- As of a position: what used these ids, the newest event of these streams, the events at these positions.
select 'id' as found, wanted.key, event.* from unnest($2::text[]) as wanted (key)
cross join lateral (
    select {columns} from {schema}.event
    where ledger_id = $1 and id = wanted.key and position <= $5
) as event
union all
select 'stream', wanted.key, event.* from unnest($3::text[]) as wanted (key)
cross join lateral (
    select {columns} from {schema}.event
    where ledger_id = $1 and stream = wanted.key and position <= $5
    order by stream desc, version desc limit 1
) as event
union all
select 'position', '', event.* from unnest($4::bigint[]) as wanted (position)
cross join lateral (
    select {columns} from {schema}.event
    where ledger_id = $1 and position = wanted.position and position <= $5
) as event
