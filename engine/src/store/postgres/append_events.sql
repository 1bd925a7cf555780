insert into {schema}.event
    (ledger_id, position, id, stream, version, kind, schema, data, meta, effective_at, recorded_at, hash)
select $1, position, id, stream, version, kind, schema, data::json, meta::json, effective_at, recorded_at, hash
from unnest(
    $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::smallint[],
    $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[], $12::bytea[]
) as row (position, id, stream, version, kind, schema, data, meta, effective_at, recorded_at, hash)
where (select count(*) from lease) > 0
