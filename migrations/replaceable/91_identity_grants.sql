-- After 90_grants.sql, which takes every function from PUBLIC.
grant execute on function
    app.credential_for_email(text), app.user_for_identity(text, text), app.session_for_token(uuid), app.api_key_for(text),
    app.touch_api_keys(uuid[], uuid[], timestamptz[]),
    app.access_of_user(uuid, text, text, uuid, uuid, text, text, text, timestamptz)
    to plinth_app;
grant execute on function app.touch_api_keys(uuid[], uuid[], timestamptz[]) to plinth_worker;

-- The worker's jobs sign nobody in.
revoke all on user_credentials, sessions, user_identities from plinth_worker;
-- A key's text, tenant and creator are written once.
revoke update on api_keys from plinth_app, plinth_worker;
grant update (hash_kind, hash, pepper_version, revoked_at, revoked_reason, overlap_until) on api_keys to plinth_app;
