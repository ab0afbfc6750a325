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
