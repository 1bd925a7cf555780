-- The last position that was recorded by a time. Recorded time never goes back, so halving finds it.
with recursive search (low, high) as (
    select 0::bigint, $2::bigint
    union all
    select case when event.recorded_at <= $3 then event.position else search.low end,
        case when event.recorded_at <= $3 then search.high else event.position - 1 end
    from search
    join {schema}.event on event.ledger_id = $1 and event.position = (search.low + search.high + 1) / 2
    where search.low < search.high
)
select low from search where low = high
