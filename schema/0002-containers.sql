-- Wisehost schema 2: the containers that serve a deployment.

CREATE TABLE instances (
  id            TEXT   NOT NULL PRIMARY KEY,
  app_id        TEXT   NOT NULL REFERENCES apps (id),
  deployment_id TEXT   NOT NULL REFERENCES deployments (id),
  worker_id     BIGINT NOT NULL REFERENCES workers (id),
  container     TEXT   NOT NULL,
  address       TEXT   NOT NULL,
  port          BIGINT NOT NULL CHECK (port BETWEEN 1 AND 65535),
  state         TEXT   NOT NULL CHECK (state IN ('running', 'draining', 'stopped')),
  observed      TEXT   NOT NULL DEFAULT 'running'
    CHECK (observed IN ('starting', 'running', 'stopped', 'crashloop', 'violated', 'unknown')),
  reason        TEXT   NOT NULL DEFAULT '',
  restarts      BIGINT NOT NULL DEFAULT 0,
  cpu_millis    BIGINT NOT NULL DEFAULT 0 CHECK (cpu_millis >= 0),
  memory_bytes  BIGINT NOT NULL DEFAULT 0 CHECK (memory_bytes >= 0),
  created_at    BIGINT NOT NULL,
  stopped_at    BIGINT NOT NULL DEFAULT 0,
  UNIQUE (worker_id, container)
);
CREATE INDEX instances_deployment ON instances (deployment_id);
CREATE INDEX instances_app ON instances (app_id) WHERE state <> 'stopped';
CREATE INDEX instances_live ON instances (worker_id) WHERE state <> 'stopped';
