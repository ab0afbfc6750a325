# docs: its part of the one Makefile
EXTRA_DIST += docs/directives.md docs/protocol.md
