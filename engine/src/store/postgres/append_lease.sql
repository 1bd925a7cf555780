lease as materialized (
    select pg_advisory_xact_lock_shared({lease_key})
)
