-- The catalogue is read by everybody and written by its functions, which the owner calls. Invoices are never deleted.
revoke insert, update, delete on plans, plan_versions, plan_aliases, prices, plan_entitlements from plinth_app, plinth_worker;
revoke delete on subscriptions, subscription_changes, invoices, invoice_lines from plinth_app, plinth_worker;
revoke execute on function app.load_catalogue(text), app.publish_plan(text, jsonb, jsonb), app.catalogue(text) from public;
