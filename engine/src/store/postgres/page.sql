-- Events behind a position, in order: so many rows at most, and so many bytes of data, but at least one.
-- The size is that of the text as it is read; the server knows it without unpacking.
select {columns} from (
    select *, sum(octet_length(data::text)) over (order by position rows unbounded preceding) as bytes from (
        select * from {schema}.event where ledger_id = $1 and position > $2 order by position limit $3
    ) as rows
) as page
where bytes <= $4 or position = $2 + 1
order by position
