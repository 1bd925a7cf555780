-- What disintegrate-postgres 4.0 makes for these events, written anew: its own set-up fails on PostgreSQL 15,
-- which has no hexadecimal numbers ("trailing junk after numeric literal at or near "0xFFFFFFFF"").

create sequence seq_event_event_id;
create table event (
    event_id    bigint primary key default nextval('seq_event_event_id'),
    event_type  varchar(255),
    payload     bytea,
    inserted_at timestamp default now(),
    payer_id    bigint,
    payee_id    bigint
);
create index idx_event_type_btree on event (event_type);
create index idx_event_payer_id on event (payer_id) where payer_id is not null;
create index idx_event_payee_id on event (payee_id) where payee_id is not null;

-- A writer shows by shared locks how far the sequence was when it began.
create function event_store_begin_epoch() returns void language plpgsql as $$
declare
    began    bigint := (select last_value from seq_event_event_id);
    here     integer := (select oid from pg_database where datname = current_database());
begin
    perform pg_try_advisory_xact_lock_shared(here, 0);
    perform pg_try_advisory_xact_lock_shared(1, (began & 4294967295)::bit(32)::integer);
    perform pg_try_advisory_xact_lock_shared(2, (began >> 32)::bit(32)::integer);
end $$;

-- How far a reader may go: the newest event, but not beyond where a writer that is under way began.
create function event_store_current_epoch() returns bigint language plpgsql as $$
declare
    newest   bigint := (select coalesce(max(event_id), 0) from event);
    here     integer := (select oid from pg_database where datname = current_database());
    began    bigint;
begin
    select min((high.objid::bigint << 32) + low.objid::bigint) into began
    from pg_locks as writer join pg_locks as low using (pid) join pg_locks as high using (pid)
    where writer.classid = here and low.classid = 1 and high.classid = 2 and writer.locktype = 'advisory';
    return least(coalesce(began, newest), newest);
end $$;
