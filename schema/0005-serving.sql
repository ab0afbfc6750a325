-- Wisehost schema 5: what a visitor meets: domains, environments, rollback and promotion, previews.

-- How an app is served. The snapshot of a deployment keeps what concerns its content.
ALTER TABLE apps ADD COLUMN serve_clean_urls BIGINT NOT NULL DEFAULT 0 CHECK (serve_clean_urls IN (0, 1));
ALTER TABLE apps ADD COLUMN serve_sticky BIGINT NOT NULL DEFAULT 0 CHECK (serve_sticky IN (0, 1));
ALTER TABLE apps ADD COLUMN serve_maintenance BIGINT NOT NULL DEFAULT 0 CHECK (serve_maintenance IN (0, 1));
-- Seconds: of an answer (0 = the server's Timeout), of a request that waits for a switch, of the old
-- container after a switch, for which the assets of the release before are still found.
ALTER TABLE apps ADD COLUMN serve_timeout_s BIGINT NOT NULL DEFAULT 0 CHECK (serve_timeout_s BETWEEN 0 AND 3600);
ALTER TABLE apps ADD COLUMN serve_hold_s BIGINT NOT NULL DEFAULT 10 CHECK (serve_hold_s BETWEEN 0 AND 60);
ALTER TABLE apps ADD COLUMN serve_grace_s BIGINT NOT NULL DEFAULT 30 CHECK (serve_grace_s BETWEEN 0 AND 3600);
ALTER TABLE apps ADD COLUMN serve_previous_s BIGINT NOT NULL DEFAULT 86400
  CHECK (serve_previous_s BETWEEN 0 AND 2592000);
-- A name for each branch that no environment takes: how many at most, 0 = none; how long after its last deployment.
ALTER TABLE apps ADD COLUMN preview_max BIGINT NOT NULL DEFAULT 0 CHECK (preview_max BETWEEN 0 AND 1000);
ALTER TABLE apps ADD COLUMN preview_ttl_s BIGINT NOT NULL DEFAULT 604800
  CHECK (preview_ttl_s BETWEEN 3600 AND 31536000);
-- How often its owner changed what its names answer with, since the scheduler last published them.
ALTER TABLE apps ADD COLUMN republish BIGINT NOT NULL DEFAULT 0 CHECK (republish >= 0);
CREATE INDEX apps_republish ON apps (id) WHERE republish > 0;

-- Which branches an environment takes. production stands here too as soon as it takes other branches than
-- the app's own.
CREATE TABLE environments (
  app_id     TEXT   NOT NULL REFERENCES apps (id),
  name       TEXT   NOT NULL,
  pattern    TEXT   NOT NULL,
  position   BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (app_id, name)
);

-- A host name of its own. Any number of apps may ask for one; it is served only by the one that proved it.
-- The states are the code's (libwh/wh_model.def); removed = its owner deleted it, and it goes once httpd has let it go.
CREATE TABLE domains (
  id           TEXT   NOT NULL PRIMARY KEY,
  app_id       TEXT   NOT NULL REFERENCES apps (id),
  environment  TEXT   NOT NULL DEFAULT 'production',
  host         TEXT   NOT NULL CHECK (length(host) BETWEEN 1 AND 253),
  redirect_to  TEXT   NOT NULL DEFAULT '',
  redirect_code BIGINT NOT NULL DEFAULT 0 CHECK (redirect_code IN (0, 301, 302, 307, 308)),
  status       TEXT   NOT NULL DEFAULT 'pending' CHECK (length(status) > 0),
  challenge    TEXT   NOT NULL,
  reason       TEXT   NOT NULL DEFAULT '',
  attempts     BIGINT NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  next_at      BIGINT NOT NULL DEFAULT 0,
  asked_at     BIGINT NOT NULL DEFAULT 0,
  checked_at   BIGINT NOT NULL DEFAULT 0,
  verified_at  BIGINT NOT NULL DEFAULT 0,
  created_at   BIGINT NOT NULL,
  updated_at   BIGINT NOT NULL,
  UNIQUE (app_id, host),
  CHECK ((redirect_to = '') = (redirect_code = 0))
);
CREATE UNIQUE INDEX domains_active ON domains (host) WHERE status = 'active';
CREATE INDEX domains_due ON domains (next_at) WHERE next_at > 0;

-- What was asked of an environment: to go to another of its deployments, or to take another environment's.
-- The module inserts, the scheduler carries out: done_at, and why not.
CREATE TABLE switches (
  id            TEXT   NOT NULL PRIMARY KEY,
  app_id        TEXT   NOT NULL REFERENCES apps (id),
  environment   TEXT   NOT NULL,
  deployment_id TEXT   NOT NULL REFERENCES deployments (id),
  kind          TEXT   NOT NULL CHECK (kind IN ('rollback', 'promote')),
  settings      TEXT   NOT NULL DEFAULT 'own' CHECK (settings IN ('own', 'current')),
  from_id       TEXT   REFERENCES deployments (id),
  result_id     TEXT   REFERENCES deployments (id),
  outcome       TEXT   NOT NULL DEFAULT '' CHECK (outcome IN ('', 'switched', 'starting', 'failed', 'superseded')),
  cause_code    TEXT   NOT NULL DEFAULT '',
  cause_detail  TEXT   NOT NULL DEFAULT '',
  -- The app's newest deployment when it was asked for: what was under way by then does not come after it.
  up_to         BIGINT NOT NULL DEFAULT 0,
  created_at    BIGINT NOT NULL,
  done_at       BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX switches_open ON switches (created_at, id) WHERE done_at = 0;
CREATE INDEX switches_app ON switches (app_id, created_at);

-- A preview's name goes at this time, 0 = never.
ALTER TABLE names ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
-- When the name came to its deployment: till when the previous one's assets count from here.
ALTER TABLE names ADD COLUMN switched_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX names_expiry ON names (expires_at) WHERE expires_at > 0;

-- The deployment whose image or release this one takes over, without a build.
ALTER TABLE deployments ADD COLUMN source_id TEXT NOT NULL DEFAULT '';
-- Of another environment's deployment, taken over. The words are the code's (libwh/wh_model.def): the list grows.
ALTER TABLE deployments RENAME COLUMN trigger_kind TO trigger_kind_4;
ALTER TABLE deployments ADD COLUMN trigger_kind TEXT NOT NULL DEFAULT 'api' CHECK (length(trigger_kind) > 0);
UPDATE deployments SET trigger_kind = trigger_kind_4;
ALTER TABLE deployments DROP COLUMN trigger_kind_4;

-- When the release was committed last: a deployment that takes it up again is not named before its result.
ALTER TABLE releases ADD COLUMN touched_at BIGINT NOT NULL DEFAULT 0;
UPDATE releases SET touched_at = created_at;
CREATE INDEX releases_touched ON releases (touched_at);
CREATE INDEX deployments_release ON deployments (release_id) WHERE release_id IS NOT NULL;
