# t: its part of the one Makefile
include t/unit/local.mk
include t/fuzz/local.mk

# What the API tests need of the database, without a scheduler.
check_PROGRAMS += t/tools/wh-db-seed
t_tools_wh_db_seed_SOURCES = t/tools/wh-db-seed.c
t_tools_wh_db_seed_LDADD = whdb/libwhdb.la libwh/libwh.la $(SQLITE_LIBS) $(PQ_LIBS) $(JANSSON_LIBS) \
	$(CRYPTO_LIBS) $(APU_LIBS) $(APR_LIBS)

# Fills a route table with the scheduler's own publisher, without a scheduler.
check_PROGRAMS += t/tools/wh-route-put
t_tools_wh_route_put_SOURCES = t/tools/wh-route-put.c \
	wh-scheduler/publish.c wh-scheduler/publish.h wh-scheduler/publish_dir.c wh-scheduler/publish_dir.h
t_tools_wh_route_put_LDADD = libwh/libwh.la $(LMDB_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) $(APU_LIBS) $(APR_LIBS)

TESTS += t/guard/api.t t/guard/audit.t t/guard/calls.t t/guard/daemons.t t/guard/directives.t t/guard/docs.t t/guard/faults.t t/guard/frames.t t/guard/includes.t t/guard/presets.t t/guard/registered.t t/guard/sizes.t t/guard/sql.t t/guard/tags.t t/guard/wisehost-json.t
EXTRA_DIST += t/README.md t/run t/analyze t/cppcheck.supp t/guard t/integration t/lib t/long t/tools/counts.pl t/tools/json-schema.py t/tools/ledger-app.c t/tools/ledger-git.c t/tools/version-app.c

# The list that t/run hands to prove.
.PHONY: print-tests
print-tests:
	@for t in $(TESTS); do echo $$t; done

# A folder is taken whole, with what a former make check left of it in the build tree.
dist-hook:
	rm -f $(distdir)/t/guard/*.log $(distdir)/t/guard/*.trs
