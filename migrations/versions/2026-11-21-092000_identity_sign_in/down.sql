drop table api_keys;
drop table sessions;
drop table user_credentials;
drop table user_identities;
