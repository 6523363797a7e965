drop table invoice_lines, invoices, quota_reservations, resources, subscription_changes, subscriptions;
