-- A name without a schema means a session's temporary tables before all others, unless the path lists them elsewhere:
-- a writer's own `event` stood in for the log in these checks. They come last now.
select set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
alter function check_events() set search_path from current;
alter function check_accounts() set search_path from current;
alter function check_postings() set search_path from current;
