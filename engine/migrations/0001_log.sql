-- The log: rows are only ever added. Text keys are in byte order ("C"): they are compared by machines.
--
-- Runs with search_path set to the schema of the host's choice; functions keep that path.

create table ledger (
    ledger_id  bigint generated always as identity primary key,
    name       text collate "C" not null unique,
    created_at timestamptz not null default now()
);

create table event (
    ledger_id    bigint not null,
    position     bigint not null check (position > 0),
    id           text collate "C",
    stream       text collate "C",
    version      bigint check (version > 0),
    kind         text collate "C" not null,
    schema       smallint not null,
    data         json not null,
    meta         json not null,
    effective_at timestamptz not null,
    recorded_at  timestamptz not null,
    hash         bytea not null check (octet_length(hash) = 32),
    -- The position is the primary key, and the primary key is the lock: of two writers that saw the
    -- same head, one is refused.
    constraint event_pkey primary key (ledger_id, position),
    check ((stream is null) = (version is null))
);
-- Partial, so that a row pays only for the index that it needs.
create unique index event_id_key on event (ledger_id, id) where id is not null;
create unique index event_stream_key on event (ledger_id, stream, version) where stream is not null;
-- Finds the holds that are due; a row pays for it only if it is a hold that expires.
create index event_hold_expiry on event (ledger_id, ((data ->> 'expires_at') collate "C"))
    where kind = 'hold.placed' and (data ->> 'expires_at') is not null;

create table account (
    ledger_id  bigint not null,
    -- The position that opened it.
    account_id bigint not null,
    code       text collate "C" not null,
    currency   text collate "C" not null,
    scale      smallint not null check (scale between 0 and 18),
    type       text collate "C" not null check (type in ('asset', 'expense', 'liability', 'equity', 'income')),
    normal     text collate "C" not null check (normal in ('debit', 'credit')),
    constraint account_pkey primary key (ledger_id, account_id),
    constraint account_code_key unique (ledger_id, code, currency)
);

create table posting (
    ledger_id       bigint not null,
    account_id      bigint not null,
    position        bigint not null,
    leg             integer not null check (leg >= 0),
    -- Debit minus credit.
    posted          numeric not null,
    pending         numeric not null,
    -- The account's totals after this leg. The newest posting holds the balance, so a balance is one
    -- look-up in this key, for a hot account as for a cold one.
    debits_posted   numeric not null check (debits_posted >= 0),
    credits_posted  numeric not null check (credits_posted >= 0),
    debits_pending  numeric not null check (debits_pending >= 0),
    credits_pending numeric not null check (credits_pending >= 0),
    constraint posting_pkey primary key (ledger_id, account_id, position, leg)
);

-- Whether a row was written by this transaction, savepoints included. Rows of other transactions
-- that are still under way are not visible, so one that is visible and under way is ours.
create function is_ours(row_xmin xid) returns boolean
language plpgsql stable
as $$
declare
    top     bigint;
    low     bigint;
    written bigint;
begin
    if row_xmin = pg_current_xact_id()::xid then
        return true;
    end if;
    -- The 64-bit number nearest to ours that ends in the row's 32 bits.
    top := pg_current_xact_id()::text::bigint;
    low := row_xmin::text::bigint;
    written := top - top % 4294967296 + low;
    if written > top + 2147483648 then
        written := written - 4294967296;
    elsif written < top - 2147483648 then
        written := written + 4294967296;
    end if;
    return low > 2 and written > 0 and pg_xact_status(written::text::xid8) = 'in progress';
end
$$;

create function refuse_change() returns trigger
language plpgsql
as $$
begin
    raise exception '% on %.% is refused: the log is append-only', tg_op, tg_table_schema, tg_table_name
        using errcode = 'PF001',
              hint = 'Correct an entry by posting its reversal.';
end
$$;

-- Positions continue the log without a gap. Each batch is looked at as a set.
--
-- Index plans are pinned, here and below: a plan that is cached while the tables are empty would scan
-- for ever. For the same reason a row is looked for by a scalar subquery: `exists` may be planned as a
-- hash of the whole table.
create function check_events() returns trigger
language plpgsql
set search_path from current
set enable_seqscan = off
as $$
declare
    bad record;
begin
    select batch.* into bad
    from (
        select ledger_id, min(position) as first, max(position) as last, count(*) as rows
        from inserted group by ledger_id
    ) as batch
    where batch.last - batch.first + 1 <> batch.rows or (batch.first > 1 and (
        select true from event where ledger_id = batch.ledger_id and position = batch.first - 1
    ) is null)
    limit 1;
    if found then
        raise exception 'positions % to % leave a gap in the log of ledger %', bad.first, bad.last, bad.ledger_id
            using errcode = 'PF002',
                  hint = 'A batch continues the log at its head, without a gap.';
    end if;
    return null;
end
$$;

-- An account is opened by an event of the same transaction.
create function check_accounts() returns trigger
language plpgsql
set search_path from current
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
as $$
declare
    bad record;
begin
    select a.ledger_id, a.account_id, a.code into bad
    from inserted a
    left join event e on e.ledger_id = a.ledger_id and e.position = a.account_id and e.kind = 'account.opened'
    where e.position is null or not is_ours(e.xmin)
    limit 1;
    if found then
        raise exception 'account % (%) is not opened by an event of this transaction', bad.code, bad.account_id
            using errcode = 'PF003',
                  hint = 'Open accounts through the ledger engine.';
    end if;
    return null;
end
$$;

-- Legs sum to zero per entry and currency, every account exists, and postings belong to events of the
-- same transaction (else a balanced pair could be slipped under an old event).
create function check_postings() returns trigger
language plpgsql
set search_path from current
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
as $$
declare
    bad record;
begin
    select p.position, a.currency, sum(p.posted) as posted, sum(p.pending) as pending into bad
    from inserted p
    left join account a on a.ledger_id = p.ledger_id and a.account_id = p.account_id
    group by p.ledger_id, p.position, a.currency
    having a.currency is null or sum(p.posted) <> 0 or sum(p.pending) <> 0
    limit 1;
    if found and bad.currency is null then
        raise exception 'a posting of entry % names an account that does not exist', bad.position
            using errcode = 'PF004',
                  hint = 'Open the account first.';
    elsif found then
        raise exception 'entry % does not balance in %: debits less credits are % posted, % pending',
            bad.position, bad.currency, bad.posted, bad.pending
            using errcode = 'PF005',
                  hint = 'Debits equal credits in every currency of an entry.';
    end if;
    -- Positions are dense, and whoever continues the log behind an event of ours is this transaction:
    -- so the first event being ours and the last being there speaks for all between.
    select batch.* into bad
    from (select ledger_id, min(position) as first, max(position) as last from inserted group by ledger_id) as batch
    where (
        select true from event e
        where e.ledger_id = batch.ledger_id and e.position = batch.first and is_ours(e.xmin)
    ) is null or (
        select true from event e where e.ledger_id = batch.ledger_id and e.position = batch.last
    ) is null
    limit 1;
    if found then
        raise exception 'postings at % to % do not belong to events of this transaction', bad.first, bad.last
            using errcode = 'PF006',
                  hint = 'An entry and its postings are written together.';
    end if;
    return null;
end
$$;

create trigger check_events after insert on event
    referencing new table as inserted for each statement execute function check_events();
create trigger check_accounts after insert on account
    referencing new table as inserted for each statement execute function check_accounts();
create trigger check_postings after insert on posting
    referencing new table as inserted for each statement execute function check_postings();

create trigger append_only before update or delete or truncate on ledger
    for each statement execute function refuse_change();
create trigger append_only before update or delete or truncate on event
    for each statement execute function refuse_change();
create trigger append_only before update or delete or truncate on account
    for each statement execute function refuse_change();
create trigger append_only before update or delete or truncate on posting
    for each statement execute function refuse_change();
