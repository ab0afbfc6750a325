# bench: scripts, and the worker simulator with its seeding tool (built by `make check`, not installed)
check_PROGRAMS += bench/sim/wh-sim bench/sim/wh-sim-seed bench/sim/wh-sim-ticks
bench_sim_wh_sim_ticks_SOURCES = bench/sim/ticks.c
bench_sim_wh_sim_ticks_CPPFLAGS = $(unit_db_cppflags)
bench_sim_wh_sim_ticks_LDADD = $(unit_sched_libs)
bench_sim_wh_sim_SOURCES = bench/sim/main.c bench/sim/sim.h bench/sim/agent.c bench/sim/enrol.c \
	bench/sim/job.c bench/sim/ledger.c bench/sim/talk.c
bench_sim_wh_sim_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS)
bench_sim_wh_sim_LDADD = wh-agent/libwhagent.la
bench_sim_wh_sim_seed_SOURCES = bench/sim/seed.c
bench_sim_wh_sim_seed_LDADD = whdb/libwhdb.la libwh/libwh.la $(SQLITE_LIBS) $(PQ_LIBS) $(JANSSON_LIBS) \
	$(CRYPTO_LIBS) $(APU_LIBS) $(APR_LIBS)

EXTRA_DIST += bench/README.md bench/run bench/Bench.pm bench/deploy.pl bench/push.pl bench/idle.pl bench/hub.pl bench/assign.pl \
	bench/Serve.pm bench/requests.lua bench/static.pl bench/routes.pl bench/proxy.pl bench/hooks.pl bench/observability.pl bench/viewers.pl \
	bench/rivals/post-receive/httpd.conf bench/rivals/http-post-receive/httpd.conf bench/rivals/no-module/httpd.conf \
	bench/rivals/engine-script/Script.pm
