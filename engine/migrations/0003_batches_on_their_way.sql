-- A batch may be written while the one that it continues is still on its way to be committed by another connection, and
-- so not to be seen from here. Then it is looked for when this one is committed: whoever is seen in the log has all
-- that goes before it in the log, as ever.
--
-- A constraint trigger can wait until then, but it fires for each row, and so stands at a table of its own, which gets a row
-- for such a batch and loses it before the commit. Nobody else ever sees one, and nobody but these checks may write
-- there.

select set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

create unlogged table joint (
    ledger_id bigint not null,
    -- The first position of the batch.
    position  bigint not null,
    constraint joint_pkey primary key (ledger_id, position)
);

-- Positions continue the log without a gap. Each batch is looked at as a set.
create or replace function check_events() returns trigger
language plpgsql
security definer
set search_path from current
set enable_seqscan = off
as $$
declare
    batch record;
begin
    -- One look for all, which finds nothing but for a batch that is behind one on its way, or wrong.
    perform from (
        select ledger_id, min(position) as first, max(position) as last, count(*) as rows
        from inserted group by ledger_id
    ) as written
    where written.last - written.first + 1 <> written.rows or (written.first > 1 and (
        select true from event where ledger_id = written.ledger_id and position = written.first - 1
    ) is null)
    limit 1;
    if not found then
        return null;
    end if;
    for batch in
        select ledger_id, min(position) as first, max(position) as last, count(*) as rows from inserted group by ledger_id
    loop
        if batch.last - batch.first + 1 <> batch.rows then
            raise exception 'positions % to % leave a gap in the log of ledger %', batch.first, batch.last, batch.ledger_id
                using errcode = 'PF002',
                      hint = 'A batch continues the log at its head, without a gap.';
        end if;
        if batch.first > 1 and (
            select true from event where ledger_id = batch.ledger_id and position = batch.first - 1
        ) is null then
            insert into joint (ledger_id, position) values (batch.ledger_id, batch.first);
        end if;
    end loop;
    return null;
end
$$;

create function check_joint() returns trigger
language plpgsql
security definer
set search_path from current
set enable_seqscan = off
as $$
begin
    if (select true from event where ledger_id = new.ledger_id and position = new.position - 1) is null then
        raise exception 'positions from % on leave a gap in the log of ledger %', new.position, new.ledger_id
            using errcode = 'PF002',
                  hint = 'A batch continues the log at its head, without a gap.';
    end if;
    delete from joint where ledger_id = new.ledger_id and position = new.position;
    return null;
end
$$;

create constraint trigger check_joint after insert on joint
    deferrable initially deferred for each row execute function check_joint();
