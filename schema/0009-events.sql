-- Requests of front ends whose scheduler stands by; what stands in this file is said in schema/README.md.

-- ---- requests of other front ends ----
-- What the httpd of other machines counted in the last minute: name = the file it came from (run/httpd-….requests),
-- figures = that file as it is (libwh/wh_meter_file.h). A row each, written over and over; one that is a day old goes.
CREATE TABLE front_requests (
  name    TEXT   NOT NULL PRIMARY KEY,
  told_at BIGINT NOT NULL,
  figures TEXT   NOT NULL
);

-- ---- drains of logs ----
-- Whether bodies go out as gzip; a drain by syslog has none.
ALTER TABLE log_drains ADD COLUMN gzip BIGINT NOT NULL DEFAULT 0 CHECK (gzip IN (0, 1));
