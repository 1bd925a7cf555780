-- Events of a stream behind a version, in order: so many rows at most, and so many bytes of data, but at least one.
select {columns} from (
    select *, sum(octet_length(data::text)) over (order by version rows unbounded preceding) as bytes from (
        select * from {schema}.event where ledger_id = $1 and stream = $2 and version > $3 order by version limit $4
    ) as rows
) as page
where bytes <= $5 or version = $3 + 1
order by version
