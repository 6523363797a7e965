drop table usage_import_totals, usage_imports;
