-- Two roles without login, to be granted to the login roles of the host: one appends and reads, the
-- other only reads. Neither may change or remove a row, and neither owns anything.
--
-- Sent as one query, so in one transaction: the lock keeps two processes from granting at once, which
-- the server refuses ("tuple concurrently updated").
select pg_advisory_xact_lock(hashtextextended('postfold roles', 0));
do $$
begin
    if not exists (select from pg_roles where rolname = 'postfold_app') then
        create role postfold_app nologin;
    end if;
    if not exists (select from pg_roles where rolname = 'postfold_read') then
        create role postfold_read nologin;
    end if;
exception
    -- Another process created them at the same moment.
    when duplicate_object or unique_violation then null;
end
$$;
grant usage on schema {schema} to postfold_app, postfold_read;
grant select on all tables in schema {schema} to postfold_app, postfold_read;
grant insert on {schema}.event, {schema}.account, {schema}.posting to postfold_app;
