# t: its part of the one Makefile
include t/unit/local.mk
include t/fuzz/local.mk

# What the API tests need of the database, without a scheduler.
check_PROGRAMS += t/tools/wh-db-seed
t_tools_wh_db_seed_SOURCES = t/tools/wh-db-seed.c
t_tools_wh_db_seed_LDADD = whdb/libwhdb.la libwh/libwh.la $(SQLITE_LIBS) $(PQ_LIBS) $(JANSSON_LIBS) \
	$(CRYPTO_LIBS) $(APU_LIBS) $(APR_LIBS)
