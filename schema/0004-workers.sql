-- Wisehost schema 4: many machines. Rotation and revocation of keys, draining, placement.

-- More jobs at once than 64, and why a worker takes no builds at the moment ('' = it does).
ALTER TABLE workers RENAME COLUMN max_jobs TO max_jobs_3;
ALTER TABLE workers ADD COLUMN max_jobs BIGINT NOT NULL DEFAULT 1 CHECK (max_jobs BETWEEN 1 AND 1024);
UPDATE workers SET max_jobs = max_jobs_3;
ALTER TABLE workers DROP COLUMN max_jobs_3;
ALTER TABLE workers ADD COLUMN refuses TEXT NOT NULL DEFAULT '';

-- A revoked key is good for nothing; the worker stays, and may be enrolled again under a new key.
ALTER TABLE workers ADD COLUMN revoked_at BIGINT NOT NULL DEFAULT 0;
-- When its key was asked to be changed; 0 again as soon as it was.
ALTER TABLE workers ADD COLUMN rotate_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN drain_at BIGINT NOT NULL DEFAULT 0;

-- An enrolment token may be for one worker's name only, and may let it take the place of an older key.
ALTER TABLE onetime_tokens ADD COLUMN worker_name TEXT NOT NULL DEFAULT '';
ALTER TABLE onetime_tokens ADD COLUMN replaces BIGINT NOT NULL DEFAULT 0 CHECK (replaces IN (0, 1));

-- Where an app may run: one worker by name, a zone, labels that the worker must have.
ALTER TABLE apps ADD COLUMN place_worker TEXT NOT NULL DEFAULT '';
ALTER TABLE apps ADD COLUMN place_zone TEXT NOT NULL DEFAULT '';
ALTER TABLE apps ADD COLUMN place_labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN place_zone TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN place_labels TEXT NOT NULL DEFAULT '{}';
CREATE INDEX jobs_worker ON jobs (worker_id, status) WHERE status IN ('assigned', 'processing');
-- Each for one question that is asked all the time, whose answer is short however long the queue.
DROP INDEX jobs_open;
CREATE INDEX jobs_pending ON jobs (priority DESC, created_at, id) WHERE status = 'pending';
CREATE INDEX jobs_lease ON jobs (lease_until) WHERE status IN ('assigned', 'processing');
CREATE INDEX jobs_deadline ON jobs (deadline_at) WHERE status IN ('assigned', 'processing') AND deadline_at > 0;
CREATE INDEX jobs_app ON jobs (app_id) WHERE status IN ('pending', 'assigned', 'processing');
CREATE INDEX jobs_cancel ON jobs (cancel_at, id) WHERE cancel_at > 0 AND status IN ('pending', 'assigned', 'processing');
CREATE INDEX deployments_app ON deployments (app_id) WHERE status <> 'completed';
CREATE INDEX apps_deleted ON apps (id) WHERE deleted_at > 0;

-- A deployment may come from draining a worker.
ALTER TABLE deployments RENAME COLUMN trigger_kind TO trigger_kind_3;
ALTER TABLE deployments ADD COLUMN trigger_kind TEXT NOT NULL DEFAULT 'api'
  CHECK (trigger_kind IN ('push', 'api', 'manual', 'poll', 'rollback', 'git', 'upload', 'drain'));
UPDATE deployments SET trigger_kind = trigger_kind_3;
ALTER TABLE deployments DROP COLUMN trigger_kind_3;

-- Goes up with every change of what the names answer with: who publishes elsewhere looks at it.
INSERT INTO counters (name, value) VALUES ('routes', 0);

-- What owners stopped is looked at every few seconds.
CREATE INDEX apps_stopped ON apps (id) WHERE desired = 'stopped';
