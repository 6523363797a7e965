drop table usage_dropped_partitions;
