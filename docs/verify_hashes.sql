-- The events whose hash does not follow from their row and the hash before them; none, if all is well.
-- psql -v ledger=main -f docs/verify_hashes.sql
with chained as (
    select e.*, coalesce(
        lag(e.hash) over (order by e.position),
        sha256(convert_to('postfold/1/' || l.name, 'UTF8'))
    ) as before
    from postfold.event e join postfold.ledger l using (ledger_id)
    where l.name = :'ledger'
)
select position, encode(hash, 'hex') as stored, encode(follows, 'hex') as follows
from chained cross join lateral (
    select sha256(before || string_agg(coalesce(int4send(octet_length(utf8)) || utf8, int4send(-1)), ''::bytea order by n))
        as follows
    from unnest(array[
        convert_to(position::text, 'UTF8'), convert_to(id, 'UTF8'), convert_to(stream, 'UTF8'),
        convert_to(version::text, 'UTF8'), convert_to(kind, 'UTF8'), convert_to(schema::text, 'UTF8'),
        convert_to(data::text, 'UTF8'), convert_to(meta::text, 'UTF8'),
        convert_to((extract(epoch from effective_at) * 1000000)::bigint::text, 'UTF8'),
        convert_to((extract(epoch from recorded_at) * 1000000)::bigint::text, 'UTF8')
    ]) with ordinality as field (utf8, n)
) as recomputed
where follows <> hash
order by position
limit 100
