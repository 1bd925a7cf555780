-- The holds that have not ended and expire up to a time, as of a position.
select hold.position from {schema}.event as hold
where hold.ledger_id = $1 and hold.kind = 'hold.placed' and hold.position <= $3
    and (hold.data ->> 'expires_at') collate "C" <= $2
    and not exists (
        select from {schema}.event as ending
        where ending.ledger_id = $1 and ending.stream = 'hold:' || hold.position and ending.position <= $3
            and (ending.kind <> 'hold.settled' or ending.data -> 'rest' is null)
    )
order by hold.position
