# docs: its part of the one Makefile
EXTRA_DIST += docs/api.md docs/directives.md docs/protocol.md
