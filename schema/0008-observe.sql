-- Wisehost schema 8: seeing everything: events, alerts, usage.

-- ---- events ----
-- What happened that somebody may want to be told of: the outbox of notifications. Written in
-- the transaction of what it tells, so that it is told of if and only if it is so.
CREATE TABLE notification_event (
  id         TEXT   NOT NULL PRIMARY KEY,
  user_id    TEXT   NOT NULL DEFAULT '',
  app_id     TEXT   NOT NULL DEFAULT '',
  kind       TEXT   NOT NULL CHECK (length(kind) > 0),
  -- 1 = the other edge: what it tells of has ended.
  ended      BIGINT NOT NULL DEFAULT 0 CHECK (ended IN (0, 1)),
  payload    TEXT   NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX notification_event_age ON notification_event (created_at, id);

-- ---- alerts ----
-- The kinds and their units are the code's (libwh/wh_alert.def). app_id '' = every app that has no rule of this
-- kind of its own. Thresholds in thousandths of the unit. revision = the number of its last write, of the counter
-- alert_rules: who has read up to it knows every rule. A deleted one stays as a mark.
CREATE TABLE alert_rules (
  id           TEXT   NOT NULL PRIMARY KEY,
  user_id      TEXT   NOT NULL DEFAULT '',
  app_id       TEXT   NOT NULL DEFAULT '',
  kind         TEXT   NOT NULL CHECK (length(kind) > 0),
  unit         TEXT   NOT NULL DEFAULT '',
  threshold    BIGINT NOT NULL DEFAULT 0 CHECK (threshold >= 0),
  sustain_s    BIGINT NOT NULL DEFAULT 0 CHECK (sustain_s BETWEEN 0 AND 86400),
  severity     TEXT   NOT NULL DEFAULT 'warning' CHECK (length(severity) > 0),
  enabled      BIGINT NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  revision     BIGINT NOT NULL DEFAULT 0 CHECK (revision >= 0),
  created_at   BIGINT NOT NULL,
  updated_at   BIGINT NOT NULL,
  deleted_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX alert_rules_revision ON alert_rules (revision);
CREATE INDEX alert_rules_app ON alert_rules (app_id, kind) WHERE deleted_at = 0;
INSERT INTO counters (name, value) VALUES ('alert_rules', 3);
-- When the rules were evaluated last, microseconds.
INSERT INTO counters (name, value) VALUES ('alert_tick', 0);
INSERT INTO alert_rules (id, kind, sustain_s, severity, revision, created_at, updated_at) VALUES
  ('00000000000000000000000001', 'offline', 300, 'critical', 1, 0, 0),
  ('00000000000000000000000002', 'crashloop', 0, 'critical', 2, 0, 0),
  ('00000000000000000000000003', 'deployment_failed', 0, 'warning', 3, 0, 0);

-- What lies between the edges: a rule and app that is not at rest. since = from when on it has been on the other
-- side of its threshold; missing_since = from when on nothing is known of it.
CREATE TABLE alert_states (
  rule_id       TEXT   NOT NULL REFERENCES alert_rules (id),
  app_id        TEXT   NOT NULL REFERENCES apps (id),
  since         BIGINT NOT NULL DEFAULT 0,
  -- Which edge is counted to: 1 = the one at which the alert resolves.
  counts_open   BIGINT NOT NULL DEFAULT 0 CHECK (counts_open IN (0, 1)),
  missing_since BIGINT NOT NULL DEFAULT 0,
  value         BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (rule_id, app_id)
);

CREATE TABLE alerts (
  id              TEXT   NOT NULL PRIMARY KEY,
  user_id         TEXT   NOT NULL DEFAULT '',
  app_id          TEXT   NOT NULL REFERENCES apps (id),
  rule_id         TEXT   NOT NULL REFERENCES alert_rules (id),
  kind            TEXT   NOT NULL CHECK (length(kind) > 0),
  severity        TEXT   NOT NULL,
  source_type     TEXT   NOT NULL,
  source_id       TEXT   NOT NULL,
  title           TEXT   NOT NULL,
  message         TEXT   NOT NULL DEFAULT '',
  value           BIGINT NOT NULL DEFAULT 0,
  threshold       BIGINT NOT NULL DEFAULT 0,
  unit            TEXT   NOT NULL DEFAULT '',
  status          TEXT   NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'acknowledged', 'resolved')),
  reason          TEXT   NOT NULL DEFAULT '',
  fired_at        BIGINT NOT NULL,
  acknowledged_at BIGINT NOT NULL DEFAULT 0,
  acknowledged_by TEXT   NOT NULL DEFAULT '',
  resolved_at     BIGINT NOT NULL DEFAULT 0
);
-- One active alert a user and source (F154): kept by the database, not by a check.
CREATE UNIQUE INDEX alerts_active ON alerts (user_id, source_type, source_id) WHERE status <> 'resolved';
CREATE INDEX alerts_app ON alerts (app_id, id);

-- ---- usage ----
-- What an app used in five minutes: sums with the number of samples, so that averages are exact. The whole row is
-- written with each sample (R1). No reference to apps: ten thousand rows a minute need no proof of what the hub knows.
CREATE TABLE usage_buckets (
  app_id       TEXT   NOT NULL,
  bucket_start BIGINT NOT NULL,
  user_id      TEXT   NOT NULL DEFAULT '',
  samples      BIGINT NOT NULL CHECK (samples > 0),
  cpu_sum      BIGINT NOT NULL CHECK (cpu_sum >= 0),
  cpu_max      BIGINT NOT NULL CHECK (cpu_max >= 0),
  memory_sum   BIGINT NOT NULL CHECK (memory_sum >= 0),
  memory_max   BIGINT NOT NULL CHECK (memory_max >= 0),
  net_sum      BIGINT NOT NULL CHECK (net_sum >= 0),
  net_max      BIGINT NOT NULL CHECK (net_max >= 0),
  net_bytes    BIGINT NOT NULL CHECK (net_bytes >= 0),
  PRIMARY KEY (app_id, bucket_start)
);
CREATE INDEX usage_buckets_age ON usage_buckets (bucket_start);
-- Up to which total a deployment's containers on a worker are counted.
CREATE TABLE usage_parts (
  app_id        TEXT   NOT NULL,
  deployment_id TEXT   NOT NULL,
  worker_id     BIGINT NOT NULL,
  net_total     BIGINT NOT NULL,
  PRIMARY KEY (app_id, deployment_id, worker_id)
);
-- 1 = something was sampled once: a total that is met first then counts from zero.
INSERT INTO counters (name, value) VALUES ('usage_begun', 0);

-- ---- notifications ----
-- 0 = no channel was asked yet whether it wants to hear of it.
ALTER TABLE notification_event ADD COLUMN told BIGINT NOT NULL DEFAULT 0 CHECK (told IN (0, 1));
CREATE INDEX notification_event_untold ON notification_event (created_at, id) WHERE told = 0;

-- Who hears of what. sealed = {"url","secret",…} as env vars are sealed, bound to the id; shown = the URL without its
-- secrets; events = names and patterns, one a line, '' = all (libwh/wh_event.h); app_id '' = of every app.
-- reason: why it is not enabled ('' = its owner said so); failures = dead letters since the last that arrived.
CREATE TABLE notification_channels (
  id         TEXT   NOT NULL PRIMARY KEY,
  name       TEXT   NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
  kind       TEXT   NOT NULL CHECK (length(kind) > 0),
  shown      TEXT   NOT NULL,
  key_id     BIGINT NOT NULL CHECK (key_id > 0),
  sealed     TEXT   NOT NULL,
  app_id     TEXT   NOT NULL DEFAULT '',
  events     TEXT   NOT NULL DEFAULT '',
  enabled    BIGINT NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  reason     TEXT   NOT NULL DEFAULT '',
  failures   BIGINT NOT NULL DEFAULT 0 CHECK (failures >= 0),
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  deleted_at BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX notification_channels_name ON notification_channels (name) WHERE deleted_at = 0;
CREATE INDEX notification_channels_key ON notification_channels (key_id);

-- One event on its way to one channel, in as many attempts as it takes. next_at: not before; while an attempt is under
-- way, when it counts as lost.
CREATE TABLE notification_deliveries (
  id           TEXT   NOT NULL PRIMARY KEY,
  channel_id   TEXT   NOT NULL REFERENCES notification_channels (id),
  event_id     TEXT   NOT NULL REFERENCES notification_event (id),
  status       TEXT   NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'dead')),
  attempts     BIGINT NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  next_at      BIGINT NOT NULL,
  http_status  BIGINT NOT NULL DEFAULT 0,
  cause_code   TEXT   NOT NULL DEFAULT '',
  cause_detail TEXT   NOT NULL DEFAULT '',
  created_at   BIGINT NOT NULL,
  attempted_at BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX notification_deliveries_once ON notification_deliveries (channel_id, event_id);
CREATE INDEX notification_deliveries_due ON notification_deliveries (next_at) WHERE status = 'pending';
CREATE INDEX notification_deliveries_event ON notification_deliveries (event_id);
CREATE INDEX notification_deliveries_age ON notification_deliveries (created_at);

-- ---- audit ----
-- Who did what, from where, and what became of it. Rows are only added: the database itself refuses all else, but
-- that rows older than the counter audit_before may go (retention, docs/audit.md).
CREATE TABLE audit (
  id         TEXT   NOT NULL PRIMARY KEY,
  at         BIGINT NOT NULL,
  actor_kind TEXT   NOT NULL,
  actor_id   TEXT   NOT NULL DEFAULT '',
  action     TEXT   NOT NULL,
  object     TEXT   NOT NULL DEFAULT '',
  app_id     TEXT   NOT NULL DEFAULT '',
  address    TEXT   NOT NULL DEFAULT '',
  request_id TEXT   NOT NULL DEFAULT '',
  outcome    TEXT   NOT NULL CHECK (outcome IN ('done', 'refused', 'failed')),
  status     BIGINT NOT NULL DEFAULT 0,
  code       TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX audit_at ON audit (at);
INSERT INTO counters (name, value) VALUES ('audit_before', 0);
-- only: sqlite
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
-- only: sqlite
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit WHEN OLD.at >= (SELECT value FROM counters WHERE name = 'audit_before') BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
-- only: pgsql
CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF TG_OP = ''DELETE'' THEN IF OLD.at < (SELECT value FROM counters WHERE name = ''audit_before'') THEN RETURN OLD; END IF; END IF; RAISE EXCEPTION ''the audit log is append-only'' USING ERRCODE = ''check_violation''; END';
-- only: pgsql
CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuse();
-- only: pgsql
CREATE TRIGGER audit_whole BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();

-- ---- drains of logs ----
-- Where the lines of apps go besides our own files. sealed = the URL, bound to the id; sent and lost = lines, added to
-- once a minute; cause = why the last attempt failed.
CREATE TABLE log_drains (
  id         TEXT   NOT NULL PRIMARY KEY,
  name       TEXT   NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
  kind       TEXT   NOT NULL CHECK (length(kind) > 0),
  shown      TEXT   NOT NULL,
  key_id     BIGINT NOT NULL CHECK (key_id > 0),
  sealed     TEXT   NOT NULL,
  app_id     TEXT   NOT NULL DEFAULT '',
  enabled    BIGINT NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  sent       BIGINT NOT NULL DEFAULT 0 CHECK (sent >= 0),
  lost       BIGINT NOT NULL DEFAULT 0 CHECK (lost >= 0),
  cause      TEXT   NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX log_drains_name ON log_drains (name);
CREATE INDEX log_drains_key ON log_drains (key_id);
