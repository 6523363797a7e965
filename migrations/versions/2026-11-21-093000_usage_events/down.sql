drop table usage_daily, usage_days, usage_rollups, usage_watermark, usage_events, meters, standard_meters;
