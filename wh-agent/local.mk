# wh-agent: its part of the one Makefile
noinst_LTLIBRARIES += wh-agent/libwhagent.la
wh_agent_libwhagent_la_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS) $(LWS_CFLAGS) $(LIBARCHIVE_CFLAGS) $(BROTLI_CFLAGS) $(ZSTD_CFLAGS) $(Z_CFLAGS)
wh_agent_libwhagent_la_LDFLAGS = $(AM_LDFLAGS)
wh_agent_libwhagent_la_LIBADD = libwh/libwh.la $(APR_LIBS) $(JANSSON_LIBS) $(CURL_LIBS) $(LWS_LIBS) $(LIBARCHIVE_LIBS) \
	$(BROTLI_LIBS) $(ZSTD_LIBS) $(Z_LIBS)
wh_agent_libwhagent_la_SOURCES = \
	wh-agent/agent.c wh-agent/agent.h \
	wh-agent/api.c wh-agent/api.h \
	wh-agent/base.c wh-agent/base.h \
	wh-agent/blobs.c wh-agent/blobs.h \
	wh-agent/bounds.c wh-agent/bounds.h \
	wh-agent/box.c wh-agent/box.h \
	wh-agent/build.c wh-agent/build.h \
	wh-agent/buildout.c wh-agent/buildout.h \
	wh-agent/compose.c wh-agent/compose.h wh-agent/source_int.h wh-agent/source_read.c \
	wh-agent/lfs.c wh-agent/lfs.h wh-agent/lfs_int.h wh-agent/lfs_batch.c wh-agent/lfshttp.c wh-agent/lfshttp.h \
	wh-agent/caches.c wh-agent/caches.h \
	wh-agent/cancel.c wh-agent/cancel.h \
	wh-agent/catfile.c wh-agent/catfile.h \
	wh-agent/cause.c wh-agent/cause.h \
	wh-agent/compress.c wh-agent/compress.h \
	wh-agent/conf.c wh-agent/conf.h \
	wh-agent/deploy.c wh-agent/deploy.h \
	wh-agent/dockerfile.c wh-agent/dockerfile.h \
	wh-agent/engine.h \
	wh-agent/engine_docker.c \
	wh-agent/engine_http.c wh-agent/engine_http.h \
	wh-agent/engine_json.c wh-agent/engine_json.h \
	wh-agent/events.c wh-agent/events.h \
	wh-agent/follow.c wh-agent/follow.h wh-agent/follow_int.h wh-agent/follow_queue.c \
	wh-agent/frames.c wh-agent/frames.h \
	wh-agent/fsutil.c wh-agent/fsutil.h \
	wh-agent/gitenv.c wh-agent/gitenv.h \
	wh-agent/gitsays.c wh-agent/gitsays.h \
	wh-agent/house.c wh-agent/house.h \
	wh-agent/huburl.c wh-agent/huburl.h \
	wh-agent/hold.c wh-agent/hold.h \
	wh-agent/hush.c wh-agent/hush.h \
	wh-agent/identity.c wh-agent/identity.h \
	wh-agent/jail.c wh-agent/jail.h \
	wh-agent/job.c wh-agent/job.h \
	wh-agent/keep.c wh-agent/keep.h \
	wh-agent/made.c wh-agent/made.h \
	wh-agent/layers.c wh-agent/layers.h \
	wh-agent/link.c wh-agent/link.h \
	wh-agent/link_conn.c wh-agent/link_conn.h \
	wh-agent/logs.c wh-agent/logs.h \
	wh-agent/lstree.c wh-agent/lstree.h \
	wh-agent/look.c wh-agent/look.h \
	wh-agent/machine.c wh-agent/machine.h \
	wh-agent/pass.c wh-agent/pass.h \
	wh-agent/engine_use.c \
	wh-agent/uses.c wh-agent/uses.h \
	wh-agent/looktree.c wh-agent/looktree.h \
	wh-agent/netguard.c wh-agent/netguard.h \
	wh-agent/output.c wh-agent/output.h \
	wh-agent/recipe.c wh-agent/recipe.h \
	wh-agent/pull.c wh-agent/pull.h wh-agent/pullout.c wh-agent/pullout.h \
	wh-agent/probe.c wh-agent/probe.h \
	wh-agent/proc.c wh-agent/proc.h \
	wh-agent/reach.c wh-agent/reach.h \
	wh-agent/reconcile.c wh-agent/reconcile.h \
	wh-agent/release.c wh-agent/release.h \
	wh-agent/release_hash.c \
	wh-agent/release_int.h \
	wh-agent/release_rules.c \
	wh-agent/release_put.c \
	wh-agent/release_send.c \
	wh-agent/restart.c wh-agent/restart.h \
	wh-agent/results.c wh-agent/results.h \
	wh-agent/rotate.c wh-agent/rotate.h \
	wh-agent/room.c wh-agent/room.h \
	wh-agent/run.c wh-agent/run.h \
	wh-agent/source.c wh-agent/source.h \
	wh-agent/tail.c wh-agent/tail.h \
	wh-agent/tarfile.c wh-agent/tarfile.h \
	wh-agent/thread.c wh-agent/thread.h \
	wh-agent/variants.c wh-agent/variants.h \
	wh-agent/wanted.c wh-agent/wanted.h \
	wh-agent/vars.c wh-agent/vars.h \
	wh-agent/work.h

# The one program of a hold's image, as bytes: no flags but its own, for it has no C library.
wh-agent/hold_elf.inc: wh-agent/hold_elf.c
	$(AM_V_GEN)$(MKDIR_P) wh-agent && $(CC) -Os -w -ffreestanding -fno-stack-protector -fno-pic -fno-sanitize=all \
		-fno-asynchronous-unwind-tables -nostdlib -static -no-pie -Wl,--build-id=none,-s,-z,noseparate-code \
		-o wh-agent/hold.elf $(srcdir)/wh-agent/hold_elf.c \
		&& od -An -v -tx1 wh-agent/hold.elf | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g' >$@.new && mv $@.new $@
$(wh_agent_libwhagent_la_OBJECTS): wh-agent/hold_elf.inc
CLEANFILES += wh-agent/hold_elf.inc wh-agent/hold.elf
EXTRA_DIST += wh-agent/hold_elf.c

sbin_PROGRAMS += wh-agent/wh-agent
wh_agent_wh_agent_SOURCES = wh-agent/main.c
wh_agent_wh_agent_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS)
wh_agent_wh_agent_LDADD = wh-agent/libwhagent.la

EXTRA_DIST += wh-agent/README.md

# One job of the agent without a hub.
check_PROGRAMS += t/tools/wh-agent-job
t_tools_wh_agent_job_SOURCES = t/tools/wh-agent-job.c
t_tools_wh_agent_job_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS)
t_tools_wh_agent_job_LDADD = wh-agent/libwhagent.la

# Its units; t/unit/local.mk, which comes later, names the common parts.
agent_units = t/unit/test_agent_bounds t/unit/test_agent_cause t/unit/test_agent_compress t/unit/test_agent_dockerfile t/unit/test_agent_engine t/unit/test_agent_git t/unit/test_agent_image t/unit/test_agent_job \
	t/unit/test_agent_keep t/unit/test_agent_made t/unit/test_agent_output t/unit/test_agent_logs t/unit/test_agent_proc t/unit/test_agent_restart t/unit/test_agent_run t/unit/test_agent_state \
	t/unit/test_agent_tail t/unit/test_agent_uses
agent_unit_libs = wh-agent/libwhagent.la $(unit_libs)
t_unit_test_agent_bounds_SOURCES = t/unit/test_agent_bounds.c $(unit_common)
t_unit_test_agent_bounds_LDADD = $(agent_unit_libs)
t_unit_test_agent_cause_SOURCES = t/unit/test_agent_cause.c $(unit_common)
t_unit_test_agent_cause_LDADD = $(agent_unit_libs)
t_unit_test_agent_compress_SOURCES = t/unit/test_agent_compress.c $(unit_common)
t_unit_test_agent_compress_LDADD = $(agent_unit_libs)
t_unit_test_agent_output_SOURCES = t/unit/test_agent_output.c $(unit_common)
t_unit_test_agent_output_LDADD = $(agent_unit_libs) $(LIBARCHIVE_LIBS)
t_unit_test_agent_dockerfile_SOURCES = t/unit/test_agent_dockerfile.c $(unit_common)
t_unit_test_agent_dockerfile_LDADD = $(agent_unit_libs)
t_unit_test_agent_engine_SOURCES = t/unit/test_agent_engine.c $(unit_common)
t_unit_test_agent_engine_LDADD = $(agent_unit_libs)
t_unit_test_agent_git_SOURCES = t/unit/test_agent_git.c $(unit_common)
t_unit_test_agent_git_LDADD = $(agent_unit_libs)
t_unit_test_agent_job_SOURCES = t/unit/test_agent_job.c $(unit_common)
t_unit_test_agent_job_LDADD = $(agent_unit_libs)
t_unit_test_agent_uses_SOURCES = t/unit/test_agent_uses.c $(unit_common)
t_unit_test_agent_uses_LDADD = $(agent_unit_libs)
t_unit_test_agent_keep_SOURCES = t/unit/test_agent_keep.c $(unit_common)
t_unit_test_agent_keep_LDADD = $(agent_unit_libs)
t_unit_test_agent_image_SOURCES = t/unit/test_agent_image.c $(unit_common)
t_unit_test_agent_image_LDADD = $(agent_unit_libs)
t_unit_test_agent_made_SOURCES = t/unit/test_agent_made.c $(unit_common)
t_unit_test_agent_made_LDADD = $(agent_unit_libs)
t_unit_test_agent_logs_SOURCES = t/unit/test_agent_logs.c $(unit_common)
t_unit_test_agent_logs_LDADD = $(agent_unit_libs)
t_unit_test_agent_proc_SOURCES = t/unit/test_agent_proc.c $(unit_common)
t_unit_test_agent_proc_LDADD = $(agent_unit_libs)
t_unit_test_agent_restart_SOURCES = t/unit/test_agent_restart.c $(unit_common)
t_unit_test_agent_restart_LDADD = $(agent_unit_libs)
t_unit_test_agent_run_SOURCES = t/unit/test_agent_run.c t/unit/fake_engine.c t/unit/fake_engine.h $(unit_common)
t_unit_test_agent_run_LDADD = $(agent_unit_libs)
t_unit_test_agent_tail_SOURCES = t/unit/test_agent_tail.c $(unit_common)
t_unit_test_agent_tail_LDADD = $(agent_unit_libs)
t_unit_test_agent_state_SOURCES = t/unit/test_agent_state.c $(unit_common)
t_unit_test_agent_state_LDADD = $(agent_unit_libs)

# Its fuzz targets; t/fuzz/local.mk names the common parts.
agent_fuzz = t/fuzz/fuzz_engine t/fuzz/fuzz_frames t/fuzz/fuzz_gitout
agent_fuzz_libs = wh-agent/libwhagent.la $(fuzz_libs)
t_fuzz_fuzz_engine_SOURCES = t/fuzz/fuzz_engine.c $(fuzz_common)
t_fuzz_fuzz_engine_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_engine_LDADD = $(agent_fuzz_libs)
t_fuzz_fuzz_frames_SOURCES = t/fuzz/fuzz_frames.c $(fuzz_common)
t_fuzz_fuzz_frames_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_frames_LDADD = $(agent_fuzz_libs)
t_fuzz_fuzz_gitout_SOURCES = t/fuzz/fuzz_gitout.c $(fuzz_common)
t_fuzz_fuzz_gitout_LDFLAGS = $(fuzz_ldflags)
t_fuzz_fuzz_gitout_LDADD = $(agent_fuzz_libs)
