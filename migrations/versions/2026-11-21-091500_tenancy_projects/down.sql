drop table environments, projects cascade;
