-- Wisehost schema 3: webhooks of the forges, and what each delivery came to.
-- A hook's secret is derived from its id (libwh/wh_keys.h), so none is stored.

CREATE TABLE hooks (
  id         TEXT   NOT NULL PRIMARY KEY,
  app_id     TEXT   NOT NULL REFERENCES apps (id),
  provider   TEXT   NOT NULL CHECK (provider IN ('github')),
  created_at BIGINT NOT NULL,
  deleted_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX hooks_app ON hooks (app_id);

-- Only accepted deliveries are remembered: a delivery that we answered with an error may come again.
CREATE TABLE deliveries (
  hook_id       TEXT   NOT NULL REFERENCES hooks (id),
  delivery_id   TEXT   NOT NULL,
  body_sha256   TEXT   NOT NULL CHECK (length(body_sha256) = 64),
  deployment_id TEXT   NOT NULL REFERENCES deployments (id),
  received_at   BIGINT NOT NULL,
  PRIMARY KEY (hook_id, delivery_id)
);
CREATE INDEX deliveries_body ON deliveries (hook_id, body_sha256);
