-- What sqlx-ledger 0.11 expects to find: the tables, keys, defaults and triggers of the migration in its
-- repository, written anew from what its statements name.

create type debitorcredit as enum ('debit', 'credit');
create type status as enum ('active');
create type layer as enum ('settled', 'pending', 'encumbered');

create table sqlx_ledger_accounts (
    id                  uuid not null,
    version             integer not null default 1,
    code                varchar not null,
    name                varchar not null,
    description         varchar,
    status              status not null,
    normal_balance_type debitorcredit not null,
    metadata            jsonb,
    modified_at         timestamptz not null default now(),
    created_at          timestamptz not null default now(),
    unique (id, version),
    unique (code, version),
    unique (name, version)
);

create table sqlx_ledger_journals (
    id          uuid not null,
    version     integer not null default 1,
    name        varchar not null,
    description varchar,
    status      status not null,
    modified_at timestamptz not null default now(),
    created_at  timestamptz not null default now(),
    unique (id, version),
    unique (name, version)
);

create table sqlx_ledger_tx_templates (
    id          uuid not null,
    code        varchar not null,
    version     integer not null default 1,
    params      jsonb,
    tx_input    jsonb not null,
    entries     jsonb not null,
    description varchar,
    metadata    jsonb,
    modified_at timestamptz not null default now(),
    created_at  timestamptz not null default now(),
    unique (id, version),
    unique (code, version)
);

create table sqlx_ledger_transactions (
    id             uuid not null,
    version        integer not null default 1,
    journal_id     uuid not null,
    tx_template_id uuid not null,
    correlation_id uuid not null,
    effective      date not null,
    external_id    varchar not null,
    description    varchar,
    metadata       jsonb,
    modified_at    timestamptz not null default now(),
    created_at     timestamptz not null default now(),
    unique (id, version),
    unique (external_id, version)
);

create table sqlx_ledger_entries (
    id             uuid not null,
    version        integer not null default 1,
    transaction_id uuid not null,
    account_id     uuid not null,
    journal_id     uuid not null,
    entry_type     varchar not null,
    layer          layer not null,
    units          numeric not null,
    currency       varchar not null,
    direction      debitorcredit not null,
    sequence       integer not null,
    description    varchar,
    modified_at    timestamptz not null default now(),
    created_at     timestamptz not null default now(),
    unique (id, version)
);

create table sqlx_ledger_balances (
    journal_id             uuid not null,
    account_id             uuid not null,
    entry_id               uuid not null,
    currency               varchar not null,
    settled_dr_balance     numeric not null,
    settled_cr_balance     numeric not null,
    settled_entry_id       uuid not null,
    settled_modified_at    timestamptz not null,
    pending_dr_balance     numeric not null,
    pending_cr_balance     numeric not null,
    pending_entry_id       uuid not null,
    pending_modified_at    timestamptz not null,
    encumbered_dr_balance  numeric not null,
    encumbered_cr_balance  numeric not null,
    encumbered_entry_id    uuid not null,
    encumbered_modified_at timestamptz not null,
    version                integer not null,
    modified_at            timestamptz not null default now(),
    created_at             timestamptz not null default now(),
    unique (journal_id, account_id, currency, version)
);

create table sqlx_ledger_current_balances (
    journal_id uuid not null,
    account_id uuid not null,
    currency   varchar not null,
    version    integer not null,
    unique (journal_id, account_id, currency)
);

create table sqlx_ledger_events (
    id          bigserial primary key,
    type        varchar not null,
    data        jsonb not null,
    recorded_at timestamptz not null default now()
);

-- Every transaction and every balance is also an event.
create function sqlx_ledger_log_transaction() returns trigger language plpgsql as $$
declare
    known boolean := exists (select from sqlx_ledger_transactions where id = new.id and version < new.version);
begin
    insert into sqlx_ledger_events (type, data, recorded_at)
    values (case when known then 'TransactionUpdated' else 'TransactionCreated' end, row_to_json(new), new.modified_at);
    return new;
end $$;
create trigger sqlx_ledger_transactions after insert on sqlx_ledger_transactions
    for each row execute function sqlx_ledger_log_transaction();

create function sqlx_ledger_log_balance() returns trigger language plpgsql as $$
begin
    insert into sqlx_ledger_events (type, data, recorded_at)
    values ('BalanceUpdated', row_to_json(new), new.modified_at);
    return new;
end $$;
create trigger sqlx_ledger_balances after insert on sqlx_ledger_balances
    for each row execute function sqlx_ledger_log_balance();

-- Every event is told to whoever listens. PostgreSQL takes one lock for all that notify, until they committed.
create function sqlx_ledger_tell() returns trigger language plpgsql as $$
begin
    perform pg_notify(
        'sqlx_ledger_events',
        json_build_object('id', new.id, 'type', new.type, 'recorded_at', new.recorded_at)::text
    );
    return null;
end $$;
create trigger sqlx_ledger_events after insert on sqlx_ledger_events
    for each row execute function sqlx_ledger_tell();
