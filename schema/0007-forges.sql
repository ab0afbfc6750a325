-- Wisehost schema 7: forges.

-- ---- github actions ----
-- Of a hook that takes tokens: who issues them, and what they must say (JSON, libwh/wh_actions.h). '' = of any other hook.
ALTER TABLE hooks ADD COLUMN token_issuer TEXT NOT NULL DEFAULT '';
ALTER TABLE hooks ADD COLUMN token_rule TEXT NOT NULL DEFAULT '';

-- The keys of each issuer, as fetched last. asked_at = a token came with a key that is not among them.
CREATE TABLE token_issuers (
  issuer     TEXT   NOT NULL PRIMARY KEY,
  keys       TEXT   NOT NULL DEFAULT '',
  fetched_at BIGINT NOT NULL DEFAULT 0,
  asked_at   BIGINT NOT NULL DEFAULT 0,
  next_at    BIGINT NOT NULL DEFAULT 0,
  failures   BIGINT NOT NULL DEFAULT 0 CHECK (failures >= 0),
  error      TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX token_issuers_due ON token_issuers (next_at);

-- ---- sources: what a private repository asks for (libwh/wh_gitauth.h) ----
-- deploy_key: shown = the public key, sealed = the private one; former_key: the one before it, taken
-- too till `until`. credentials: shown = the user, sealed = the token, site = the only host that gets them.
CREATE TABLE source_secrets (
  app_id     TEXT   NOT NULL REFERENCES apps (id),
  kind       TEXT   NOT NULL CHECK (length(kind) > 0),
  site       TEXT   NOT NULL DEFAULT '',
  shown      TEXT   NOT NULL,
  key_id     BIGINT NOT NULL CHECK (key_id > 0),
  sealed     TEXT   NOT NULL CHECK (length(sealed) > 0),
  until      BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (app_id, kind)
);
CREATE INDEX source_secrets_key ON source_secrets (key_id);

-- Lines of a known_hosts file: the hosts' keys that an app's ssh addresses are held to.
CREATE TABLE source_hosts (
  app_id      TEXT   NOT NULL PRIMARY KEY REFERENCES apps (id),
  known_hosts TEXT   NOT NULL,
  updated_at  BIGINT NOT NULL
);

-- What of a repository is fetched besides its own files.
ALTER TABLE apps ADD COLUMN build_submodules BIGINT NOT NULL DEFAULT 0 CHECK (build_submodules IN (0, 1));
ALTER TABLE apps ADD COLUMN build_lfs BIGINT NOT NULL DEFAULT 0 CHECK (build_lfs IN (0, 1));

-- ---- forges ----
-- Hooks that are registered at their forge by its API, with a token that somebody gave: sealed as env vars are, bound to
-- the hook. remote_id = the forge's id of it, '' = it is not registered. stopped = nothing is said any more, error says why.
CREATE TABLE hook_forges (
  hook_id    TEXT   NOT NULL PRIMARY KEY REFERENCES hooks (id),
  api        TEXT   NOT NULL,
  repository TEXT   NOT NULL,
  url        TEXT   NOT NULL,
  key_id     BIGINT NOT NULL CHECK (key_id > 0),
  sealed     TEXT   NOT NULL,
  remote_id  TEXT   NOT NULL DEFAULT '',
  stopped    BIGINT NOT NULL DEFAULT 0 CHECK (stopped IN (0, 1)),
  error      TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX hook_forges_key ON hook_forges (key_id);

-- Requests whose branch or fork has a preview, and our one comment on each.
CREATE TABLE forge_requests (
  hook_id     TEXT   NOT NULL REFERENCES hooks (id),
  environment TEXT   NOT NULL,
  number      TEXT   NOT NULL,
  closed      BIGINT NOT NULL DEFAULT 0 CHECK (closed IN (0, 1)),
  comment_id  TEXT   NOT NULL DEFAULT '',
  PRIMARY KEY (hook_id, environment)
);

-- What is to be said. Only that there is something new stands here; what it is, is read when it is said, so that the
-- newest wins. version counts what came since. kind: hook, unhook, status (subject: a deployment), comment (an environment).
CREATE TABLE forge_outbox (
  hook_id    TEXT   NOT NULL REFERENCES hooks (id),
  kind       TEXT   NOT NULL CHECK (length(kind) > 0),
  subject    TEXT   NOT NULL DEFAULT '',
  version    BIGINT NOT NULL DEFAULT 0,
  attempts   BIGINT NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  next_at    BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (hook_id, kind, subject)
);
CREATE INDEX forge_outbox_due ON forge_outbox (next_at);

-- ---- images from registries ----
-- What an app runs instead of what its repository builds: registry/path with tag or digest; '' = it is built.
ALTER TABLE apps ADD COLUMN image TEXT NOT NULL DEFAULT '';
-- What was pulled, or (beforehand) what is to be pulled: sha256:...; '' = not known, or nothing was.
ALTER TABLE deployments ADD COLUMN image_digest TEXT NOT NULL DEFAULT '';
