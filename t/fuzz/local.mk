# t/fuzz: one target an input format. In `make check` each replays its corpus; after
# `configure --enable-fuzz CC=clang` the same programs are libFuzzer's (see fuzz.h).
# A target t/fuzz/fuzz_<x>.c is its name in fuzz_targets, its _SOURCES and _LDADD, and seeds in corpus/<x>/.
fuzz_targets = \
	t/fuzz/fuzz_applog \
	t/fuzz/fuzz_batch \
	t/fuzz/fuzz_conf \
	t/fuzz/fuzz_env \
	t/fuzz/fuzz_giturl \
	t/fuzz/fuzz_hook \
	t/fuzz/fuzz_host \
	t/fuzz/fuzz_json \
	t/fuzz/fuzz_jwt \
	t/fuzz/fuzz_manifest \
	t/fuzz/fuzz_meter \
	t/fuzz/fuzz_model \
	t/fuzz/fuzz_proto \
	t/fuzz/fuzz_route \
	t/fuzz/fuzz_rules \
	t/fuzz/fuzz_text

fuzz_libs = libwh/libwh.la $(APR_LIBS) $(APU_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS)
if FUZZ_ENGINE
fuzz_common = t/fuzz/fuzz.c t/fuzz/fuzz.h
fuzz_ldflags = $(AM_LDFLAGS) $(WH_FUZZ)
else
fuzz_common = t/fuzz/fuzz.c t/fuzz/fuzz.h t/fuzz/replay_main.c
fuzz_ldflags = $(AM_LDFLAGS)
TESTS += $(fuzz_targets) $(agent_fuzz)
endif
check_PROGRAMS += $(fuzz_targets) $(agent_fuzz)

t_fuzz_fuzz_applog_SOURCES = t/fuzz/fuzz_applog.c $(fuzz_common)
t_fuzz_fuzz_applog_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_applog_LDADD = $(fuzz_libs)
t_fuzz_fuzz_batch_SOURCES = t/fuzz/fuzz_batch.c $(fuzz_common)
t_fuzz_fuzz_batch_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_batch_LDADD = $(fuzz_libs)
t_fuzz_fuzz_conf_SOURCES = t/fuzz/fuzz_conf.c $(fuzz_common)
t_fuzz_fuzz_conf_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_conf_LDADD = $(fuzz_libs)
t_fuzz_fuzz_json_SOURCES = t/fuzz/fuzz_json.c $(fuzz_common)
t_fuzz_fuzz_json_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_json_LDADD = $(fuzz_libs)
t_fuzz_fuzz_jwt_SOURCES = t/fuzz/fuzz_jwt.c $(fuzz_common)
t_fuzz_fuzz_jwt_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_jwt_LDADD = $(fuzz_libs)
t_fuzz_fuzz_text_SOURCES = t/fuzz/fuzz_text.c $(fuzz_common)
t_fuzz_fuzz_text_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_text_LDADD = $(fuzz_libs)
t_fuzz_fuzz_env_SOURCES = t/fuzz/fuzz_env.c $(fuzz_common)
t_fuzz_fuzz_env_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_env_LDADD = $(fuzz_libs)
t_fuzz_fuzz_giturl_SOURCES = t/fuzz/fuzz_giturl.c $(fuzz_common)
t_fuzz_fuzz_giturl_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_giturl_LDADD = $(fuzz_libs)
t_fuzz_fuzz_hook_SOURCES = t/fuzz/fuzz_hook.c $(fuzz_common)
t_fuzz_fuzz_hook_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_hook_LDADD = $(fuzz_libs)
t_fuzz_fuzz_host_SOURCES = t/fuzz/fuzz_host.c $(fuzz_common)
t_fuzz_fuzz_host_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_host_LDADD = $(fuzz_libs)
t_fuzz_fuzz_manifest_SOURCES = t/fuzz/fuzz_manifest.c $(fuzz_common)
t_fuzz_fuzz_manifest_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_manifest_LDADD = $(fuzz_libs)
t_fuzz_fuzz_meter_SOURCES = t/fuzz/fuzz_meter.c $(fuzz_common)
t_fuzz_fuzz_meter_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_meter_LDADD = $(fuzz_libs)
t_fuzz_fuzz_model_SOURCES = t/fuzz/fuzz_model.c $(fuzz_common)
t_fuzz_fuzz_model_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_model_LDADD = $(fuzz_libs)
t_fuzz_fuzz_proto_SOURCES = t/fuzz/fuzz_proto.c $(fuzz_common)
t_fuzz_fuzz_proto_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_proto_LDADD = $(fuzz_libs)
t_fuzz_fuzz_route_SOURCES = t/fuzz/fuzz_route.c $(fuzz_common)
t_fuzz_fuzz_route_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_route_LDADD = $(fuzz_libs)
t_fuzz_fuzz_rules_SOURCES = t/fuzz/fuzz_rules.c $(fuzz_common)
t_fuzz_fuzz_rules_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_rules_LDADD = $(fuzz_libs)

EXTRA_DIST += t/fuzz/replay_main.c t/fuzz/corpus
