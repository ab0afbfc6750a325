# docs: its part of the one Makefile
EXTRA_DIST += \
	docs/access.md \
	docs/alerts.md \
	docs/api.md \
	docs/audit.md \
	docs/build.md \
	docs/daemons.md \
	docs/deploying.md \
	docs/directives.md \
	docs/drains.md \
	docs/env.md docs/events.md \
	docs/git-push.md \
	docs/image.md \
	docs/install.md docs/logs.md \
	docs/metrics.md \
	docs/names.md \
	docs/notifications.md \
	docs/performance.md \
	docs/protocol.md \
	docs/security.md \
	docs/static.md \
	docs/storage.md \
	docs/traefik.md \
	docs/usage.md \
	docs/upload.md \
	docs/sources.md \
	docs/sync.md \
	docs/webhooks.md \
	docs/github-actions.md \
	docs/workers.md
