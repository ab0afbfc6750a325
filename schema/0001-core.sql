-- Wisehost schema 1: apps, deployments, jobs, workers, releases, names, tokens.
-- One text for SQLite and PostgreSQL. Each statement ends with a semicolon at the end of a line.
-- Times are microseconds since 1970 UTC, 0 = never. Ids are 26 character lower-case ULIDs.
-- Who writes what: schema/README.md.

CREATE TABLE tokens (
  id           TEXT   NOT NULL PRIMARY KEY,
  name         TEXT   NOT NULL,
  hash         TEXT   NOT NULL UNIQUE CHECK (length(hash) = 64),
  scopes       TEXT   NOT NULL,
  apps         TEXT   NOT NULL DEFAULT '*',
  created_at   BIGINT NOT NULL,
  expires_at   BIGINT NOT NULL DEFAULT 0,
  last_used_at BIGINT NOT NULL DEFAULT 0,
  revoked_at   BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE onetime_tokens (
  hash       TEXT   NOT NULL PRIMARY KEY CHECK (length(hash) = 64),
  purpose    TEXT   NOT NULL CHECK (purpose IN ('admin', 'enrolment')),
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at    BIGINT NOT NULL DEFAULT 0
);

-- Numbers that are given out once; the row is also the lock that puts two takers one after the other.
CREATE TABLE counters (
  name  TEXT   NOT NULL PRIMARY KEY,
  value BIGINT NOT NULL CHECK (value >= 0)
);
INSERT INTO counters (name, value) VALUES ('worker', 0);

CREATE TABLE workers (
  id                BIGINT NOT NULL PRIMARY KEY CHECK (id > 0),
  public_id         TEXT   NOT NULL UNIQUE,
  name              TEXT   NOT NULL UNIQUE,
  key_hash          TEXT   NOT NULL UNIQUE CHECK (length(key_hash) = 64),
  status            TEXT   NOT NULL DEFAULT 'offline' CHECK (status IN ('online', 'offline')),
  admin_state       TEXT   NOT NULL DEFAULT 'active' CHECK (admin_state IN ('active', 'draining', 'removed')),
  address           TEXT   NOT NULL,
  zone              TEXT   NOT NULL DEFAULT '',
  labels            TEXT   NOT NULL DEFAULT '{}',
  engine            TEXT   NOT NULL DEFAULT '',
  version           TEXT   NOT NULL DEFAULT '',
  cpu_millis        BIGINT NOT NULL CHECK (cpu_millis >= 0),
  memory_bytes      BIGINT NOT NULL CHECK (memory_bytes >= 0),
  used_cpu          BIGINT NOT NULL DEFAULT 0 CHECK (used_cpu >= 0),
  used_memory       BIGINT NOT NULL DEFAULT 0 CHECK (used_memory >= 0),
  max_jobs          BIGINT NOT NULL DEFAULT 1 CHECK (max_jobs BETWEEN 1 AND 64),
  disk_free_bytes   BIGINT NOT NULL DEFAULT 0,
  last_heartbeat_at BIGINT NOT NULL DEFAULT 0,
  created_at        BIGINT NOT NULL,
  updated_at        BIGINT NOT NULL
);

CREATE TABLE apps (
  id                   TEXT   NOT NULL PRIMARY KEY,
  slug                 TEXT   NOT NULL CHECK (length(slug) BETWEEN 2 AND 40),
  name                 TEXT   NOT NULL,
  kind                 TEXT   NOT NULL CHECK (kind IN ('static', 'container')),
  repo_url             TEXT   NOT NULL,
  repo_branch          TEXT   NOT NULL,
  repo_root            TEXT   NOT NULL DEFAULT '',
  build_command        TEXT   NOT NULL DEFAULT '',
  build_dockerfile     TEXT   NOT NULL DEFAULT 'Dockerfile',
  build_output         TEXT   NOT NULL DEFAULT '',
  run_port             BIGINT NOT NULL DEFAULT 8080 CHECK (run_port BETWEEN 1 AND 65535),
  run_health_path      TEXT   NOT NULL DEFAULT '/',
  run_replicas         BIGINT NOT NULL DEFAULT 1 CHECK (run_replicas BETWEEN 1 AND 16),
  run_cpu_millis       BIGINT NOT NULL DEFAULT 1000 CHECK (run_cpu_millis > 0),
  run_memory_bytes     BIGINT NOT NULL DEFAULT 536870912 CHECK (run_memory_bytes > 0),
  run_pids             BIGINT NOT NULL DEFAULT 256 CHECK (run_pids > 0),
  spa                  BIGINT NOT NULL DEFAULT 0 CHECK (spa IN (0, 1)),
  desired              TEXT   NOT NULL DEFAULT 'running' CHECK (desired IN ('running', 'stopped')),
  observed             TEXT   NOT NULL DEFAULT 'unknown'
    CHECK (observed IN ('starting', 'running', 'stopped', 'crashloop', 'violated', 'unknown')),
  reason               TEXT   NOT NULL DEFAULT '',
  version              BIGINT NOT NULL DEFAULT 1,
  last_number          BIGINT NOT NULL DEFAULT 0 CHECK (last_number >= 0),
  created_at           BIGINT NOT NULL,
  updated_at           BIGINT NOT NULL,
  deleted_at           BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX apps_slug ON apps (slug) WHERE deleted_at = 0;

CREATE TABLE releases (
  id           TEXT   NOT NULL PRIMARY KEY,
  files        BIGINT NOT NULL CHECK (files >= 0),
  bytes        BIGINT NOT NULL CHECK (bytes >= 0),
  created_at   BIGINT NOT NULL
);

CREATE TABLE deployments (
  id             TEXT   NOT NULL PRIMARY KEY,
  app_id         TEXT   NOT NULL REFERENCES apps (id),
  environment    TEXT   NOT NULL DEFAULT 'production',
  number         BIGINT NOT NULL CHECK (number > 0),
  status         TEXT   NOT NULL CHECK (status IN ('prepare', 'deploy', 'finalize', 'fail', 'completed')),
  conclusion     TEXT   NOT NULL DEFAULT ''
    CHECK (conclusion IN ('', 'succeeded', 'failed', 'canceled', 'skipped')),
  phase          TEXT   NOT NULL DEFAULT 'queued'
    CHECK (phase IN ('queued', 'cloning', 'building', 'starting', 'checking', 'switching', 'done')),
  cause_code     TEXT   NOT NULL DEFAULT '',
  cause_detail   TEXT   NOT NULL DEFAULT '',
  trigger_kind   TEXT   NOT NULL
    CHECK (trigger_kind IN ('push', 'api', 'manual', 'poll', 'rollback', 'git', 'upload')),
  commit_sha     TEXT   NOT NULL DEFAULT '',
  commit_ref     TEXT   NOT NULL DEFAULT '',
  commit_message TEXT   NOT NULL DEFAULT '',
  commit_author  TEXT   NOT NULL DEFAULT '',
  commit_at      BIGINT NOT NULL DEFAULT 0,
  worker_id      BIGINT REFERENCES workers (id),
  snapshot       TEXT   NOT NULL,
  release_id     TEXT   REFERENCES releases (id),
  timings        TEXT   NOT NULL DEFAULT '{}',
  created_at     BIGINT NOT NULL,
  started_at     BIGINT NOT NULL DEFAULT 0,
  finished_at    BIGINT NOT NULL DEFAULT 0,
  UNIQUE (app_id, number),
  CHECK ((status = 'completed') = (conclusion <> ''))
);
-- One active deployment an app and environment (F183, states.md): kept by the database, not by a check.
CREATE UNIQUE INDEX deployments_active ON deployments (app_id, environment)
  WHERE status IN ('deploy', 'finalize', 'fail');
CREATE INDEX deployments_open ON deployments (status) WHERE status <> 'completed';

CREATE TABLE jobs (
  id            TEXT   NOT NULL PRIMARY KEY,
  kind          TEXT   NOT NULL CHECK (kind IN ('deploy', 'stop')),
  app_id        TEXT   NOT NULL REFERENCES apps (id),
  deployment_id TEXT   NOT NULL REFERENCES deployments (id),
  worker_id     BIGINT REFERENCES workers (id),
  status        TEXT   NOT NULL
    CHECK (status IN ('pending', 'assigned', 'processing', 'succeeded', 'failed', 'canceled')),
  epoch         BIGINT NOT NULL DEFAULT 0 CHECK (epoch >= 0),
  priority      BIGINT NOT NULL DEFAULT 0,
  cpu_millis    BIGINT NOT NULL DEFAULT 0 CHECK (cpu_millis >= 0),
  memory_bytes  BIGINT NOT NULL DEFAULT 0 CHECK (memory_bytes >= 0),
  needs_engine  BIGINT NOT NULL DEFAULT 0 CHECK (needs_engine IN (0, 1)),
  not_before    BIGINT NOT NULL DEFAULT 0,
  lease_until   BIGINT NOT NULL DEFAULT 0,
  deadline_at   BIGINT NOT NULL DEFAULT 0,
  cancel_at     BIGINT NOT NULL DEFAULT 0,
  created_at    BIGINT NOT NULL,
  assigned_at   BIGINT NOT NULL DEFAULT 0,
  started_at    BIGINT NOT NULL DEFAULT 0,
  finished_at   BIGINT NOT NULL DEFAULT 0,
  CHECK (status = 'pending' OR status = 'canceled' OR status = 'failed' OR worker_id IS NOT NULL)
);
CREATE UNIQUE INDEX jobs_deploy ON jobs (deployment_id) WHERE kind = 'deploy';
CREATE UNIQUE INDEX jobs_stop ON jobs (deployment_id, worker_id) WHERE kind = 'stop';
CREATE INDEX jobs_open ON jobs (status, priority, created_at)
  WHERE status IN ('pending', 'assigned', 'processing');

-- A label under the base domain belongs to one app: taking another's is impossible by this key.
CREATE TABLE names (
  label         TEXT   NOT NULL PRIMARY KEY CHECK (length(label) BETWEEN 1 AND 63),
  app_id        TEXT   NOT NULL REFERENCES apps (id),
  environment   TEXT   NOT NULL,
  kind          TEXT   NOT NULL CHECK (kind IN ('production', 'environment', 'branch', 'deployment')),
  deployment_id TEXT   NOT NULL REFERENCES deployments (id),
  previous_id   TEXT   REFERENCES deployments (id),
  updated_at    BIGINT NOT NULL
);
CREATE INDEX names_app ON names (app_id);
