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
