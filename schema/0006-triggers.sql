-- Wisehost schema 6: every way in: env vars and secrets, triggers, sources, builds.

-- ---- env vars ----
-- Values are sealed (libwh/wh_env.h): AES-256-GCM, base64url of nonce, ciphertext and tag, bound to app,
-- scope, name and both marks. scope: '' = all environments, 'preview' = all previews, else one environment.
CREATE TABLE env_vars (
  app_id     TEXT   NOT NULL REFERENCES apps (id),
  scope      TEXT   NOT NULL DEFAULT '',
  name       TEXT   NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
  secret     BIGINT NOT NULL DEFAULT 1 CHECK (secret IN (0, 1)),
  build      BIGINT NOT NULL DEFAULT 0 CHECK (build IN (0, 1)),
  key_id     BIGINT NOT NULL CHECK (key_id > 0),
  sealed     TEXT   NOT NULL,
  bytes      BIGINT NOT NULL CHECK (bytes >= 0),
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (app_id, scope, name)
);
CREATE INDEX env_vars_key ON env_vars (key_id);

-- What a deployment got: copies of the rows in force when it was made, with the scope that they came from.
CREATE TABLE deployment_env (
  deployment_id TEXT   NOT NULL REFERENCES deployments (id),
  name          TEXT   NOT NULL,
  scope         TEXT   NOT NULL,
  secret        BIGINT NOT NULL CHECK (secret IN (0, 1)),
  build         BIGINT NOT NULL CHECK (build IN (0, 1)),
  key_id        BIGINT NOT NULL CHECK (key_id > 0),
  sealed        TEXT   NOT NULL,
  PRIMARY KEY (deployment_id, name)
);
CREATE INDEX deployment_env_key ON deployment_env (key_id);

-- The number of the key that seals; older ones open, and what they sealed is sealed anew.
INSERT INTO counters (name, value) VALUES ('env_key', 1);

-- 1 = it gets no secrets (a request from a fork), nor does what is made of it.
ALTER TABLE deployments ADD COLUMN env_public BIGINT NOT NULL DEFAULT 0 CHECK (env_public IN (0, 1));
-- Scheme, base domain and port of the server that made it, as a URL: its own names follow from that.
ALTER TABLE deployments ADD COLUMN site TEXT NOT NULL DEFAULT '';

-- ---- builds ----
-- How an app without a Dockerfile is built; '' and 0 = as the preset, the server, the worker has it.
ALTER TABLE apps ADD COLUMN build_preset TEXT NOT NULL DEFAULT '';
ALTER TABLE apps ADD COLUMN build_install TEXT NOT NULL DEFAULT '';
ALTER TABLE apps ADD COLUMN build_start TEXT NOT NULL DEFAULT '';
ALTER TABLE apps ADD COLUMN build_pre_deploy TEXT NOT NULL DEFAULT '';
ALTER TABLE apps ADD COLUMN build_image TEXT NOT NULL DEFAULT '';
ALTER TABLE apps ADD COLUMN build_timeout_s BIGINT NOT NULL DEFAULT 0 CHECK (build_timeout_s BETWEEN 0 AND 86400);
ALTER TABLE apps ADD COLUMN build_memory_bytes BIGINT NOT NULL DEFAULT 0 CHECK (build_memory_bytes >= 0);

-- ---- hooks ----
-- Hooks of every forge. The providers are the code's (libwh/wh_hook_provider.def): the list grows.
ALTER TABLE hooks RENAME COLUMN provider TO provider_5;
ALTER TABLE hooks ADD COLUMN provider TEXT NOT NULL DEFAULT 'github' CHECK (length(provider) > 0);
UPDATE hooks SET provider = provider_5;
ALTER TABLE hooks DROP COLUMN provider_5;
-- Which of its secrets is the present one, and till when the one before it is taken too.
ALTER TABLE hooks ADD COLUMN secret_n BIGINT NOT NULL DEFAULT 0 CHECK (secret_n >= 0);
ALTER TABLE hooks ADD COLUMN previous_until BIGINT NOT NULL DEFAULT 0;
-- Patterns of paths, one a line; a push that changes none of them starts nothing. Empty = all.
ALTER TABLE hooks ADD COLUMN watch TEXT NOT NULL DEFAULT '';
-- Also the lock that puts the deliveries of a hook one after the other.
ALTER TABLE hooks ADD COLUMN last_delivery_at BIGINT NOT NULL DEFAULT 0;

-- What came, and what became of it; a push of several refs has a row for each. `deliveries` is not written any more.
-- Only accepted ones answer for a repetition: what was ignored or refused may come again and be taken.
CREATE TABLE hook_deliveries (
  id            TEXT   NOT NULL PRIMARY KEY,
  hook_id       TEXT   NOT NULL REFERENCES hooks (id),
  delivery_id   TEXT   NOT NULL,
  part          BIGINT NOT NULL DEFAULT 0 CHECK (part >= 0),
  event         TEXT   NOT NULL DEFAULT '',
  ref           TEXT   NOT NULL DEFAULT '',
  before_sha    TEXT   NOT NULL DEFAULT '',
  sha           TEXT   NOT NULL DEFAULT '',
  verdict       TEXT   NOT NULL CHECK (verdict IN ('accepted', 'ignored', 'rejected')),
  reason        TEXT   NOT NULL DEFAULT '',
  deployment_id TEXT   REFERENCES deployments (id),
  body_sha256   TEXT   NOT NULL CHECK (length(body_sha256) = 64),
  headers       TEXT   NOT NULL DEFAULT '{}',
  payload       TEXT   NOT NULL DEFAULT '{}',
  replay_of     TEXT   NOT NULL DEFAULT '',
  received_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX hook_deliveries_once ON hook_deliveries (hook_id, delivery_id, part)
  WHERE verdict = 'accepted';
CREATE INDEX hook_deliveries_body ON hook_deliveries (hook_id, body_sha256);
CREATE INDEX hook_deliveries_before ON hook_deliveries (hook_id, before_sha);
CREATE INDEX hook_deliveries_age ON hook_deliveries (hook_id, received_at);
INSERT INTO hook_deliveries (id, hook_id, delivery_id, verdict, deployment_id, body_sha256, received_at)
  SELECT deployment_id, hook_id, delivery_id, 'accepted', deployment_id, body_sha256, received_at FROM deliveries;

-- Of somebody else's repository: its job waits till it was approved.
ALTER TABLE deployments ADD COLUMN untrusted BIGINT NOT NULL DEFAULT 0 CHECK (untrusted IN (0, 1));
ALTER TABLE deployments ADD COLUMN approved_at BIGINT NOT NULL DEFAULT 0;

-- ---- sync ----
-- Where new commits come from; the words are the code's (libwh/wh_model.def).
ALTER TABLE apps ADD COLUMN sync_kind TEXT NOT NULL DEFAULT 'webhook' CHECK (length(sync_kind) > 0);
ALTER TABLE apps ADD COLUMN sync_every_s BIGINT NOT NULL DEFAULT 60 CHECK (sync_every_s BETWEEN 30 AND 86400);

-- How it stands between an app and its repository: success = the commit was resolved and its deployment made
-- (what becomes of that stands at the deployment). Written by one function; version counts its writes.
CREATE TABLE syncs (
  app_id       TEXT   NOT NULL PRIMARY KEY REFERENCES apps (id),
  status       TEXT   NOT NULL DEFAULT 'unknown' CHECK (status IN ('unknown', 'syncing', 'success', 'failed')),
  cause_code   TEXT   NOT NULL DEFAULT '',
  cause_detail TEXT   NOT NULL DEFAULT '',
  trigger_kind TEXT   NOT NULL DEFAULT '',
  commit_sha   TEXT   NOT NULL DEFAULT '',
  commit_ref   TEXT   NOT NULL DEFAULT '',
  failures     BIGINT NOT NULL DEFAULT 0 CHECK (failures >= 0),
  next_at      BIGINT NOT NULL DEFAULT 0,
  asked_at     BIGINT NOT NULL DEFAULT 0,
  synced_at    BIGINT NOT NULL DEFAULT 0,
  version      BIGINT NOT NULL DEFAULT 0 CHECK (version >= 0),
  updated_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX syncs_due ON syncs (next_at);

-- One for each write of a status, numbered by it: at least the last hundred.
CREATE TABLE sync_events (
  app_id        TEXT   NOT NULL REFERENCES apps (id),
  version       BIGINT NOT NULL,
  status        TEXT   NOT NULL,
  cause_code    TEXT   NOT NULL DEFAULT '',
  cause_detail  TEXT   NOT NULL DEFAULT '',
  trigger_kind  TEXT   NOT NULL DEFAULT '',
  commit_sha    TEXT   NOT NULL DEFAULT '',
  deployment_id TEXT   NOT NULL DEFAULT '',
  at            BIGINT NOT NULL,
  PRIMARY KEY (app_id, version)
);
