# mod_wisehost: the Apache module. Only wisehost_module is visible.
EXTRA_LTLIBRARIES = mod_wisehost/mod_wisehost.la

mod_wisehost_mod_wisehost_la_SOURCES = \
	mod_wisehost/mod_wisehost.c \
	mod_wisehost/mod_wisehost.h \
	mod_wisehost/wh_mod_check.c \
	mod_wisehost/wh_mod_cmds.c \
	mod_wisehost/wh_mod_conf.c \
	mod_wisehost/wh_mod_conf.def \
	mod_wisehost/wh_mod_db.c \
	mod_wisehost/wh_mod_problem.c
mod_wisehost_mod_wisehost_la_CPPFLAGS = $(AM_CPPFLAGS) $(HTTPD_CFLAGS)
mod_wisehost_mod_wisehost_la_CFLAGS = $(AM_CFLAGS)
mod_wisehost_mod_wisehost_la_LIBADD = whdb/libwhdb.la libwh/libwh.la \
	$(LMDB_LIBS) $(SQLITE_LIBS) $(PQ_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) $(APU_LIBS) $(APR_LIBS)
mod_wisehost_mod_wisehost_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared \
	-export-symbols-regex '^wisehost_module$$'

EXTRA_DIST += mod_wisehost/README.md
