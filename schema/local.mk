# schema: the migrations, in order, as files of the distribution and as a table in the program.
schema_files = \
	schema/0001-core.sql \
	schema/0002-containers.sql \
	schema/0003-hooks.sql \
	schema/0004-workers.sql \
	schema/0005-serving.sql \
	schema/0006-triggers.sql \
	schema/0007-forges.sql \
	schema/0008-observe.sql \
	schema/0009-events.sql

schema/wh_schema_files.c: $(schema_files) schema/embed.awk
	$(AM_V_GEN)$(MKDIR_P) schema && (for f in $(schema_files); do \
	  if test -f $$f; then echo "$$f"; else echo "$(srcdir)/$$f"; fi; done | \
	  xargs $(AWK) -f $(srcdir)/schema/embed.awk) >$@.tmp && mv $@.tmp $@

CLEANFILES += schema/wh_schema_files.c schema/wh_schema_files.c.tmp
EXTRA_DIST += schema/README.md schema/embed.awk $(schema_files)
