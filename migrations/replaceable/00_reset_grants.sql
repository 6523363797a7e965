-- Every run starts from nothing: what the two log-ins may do is what the scripts behind this one grant, and nothing of an earlier release stays.
-- Nobody sees the moment between: all scripts are one transaction.
revoke all on schema public from public;
revoke all on all tables in schema public, app from plinth_app, plinth_worker;
revoke execute on all functions in schema app, auth from public, plinth_app, plinth_worker;
-- Nor does a function that is made from here on belong to PUBLIC. Each script grants its own, one by one.
alter default privileges revoke execute on functions from public;
