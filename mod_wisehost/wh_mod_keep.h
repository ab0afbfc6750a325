/*
 * wh_mod_keep.h - connections that ask for small files one after another are waited for together.
 *
 * The event MPM hands every request from its listener to a sleeping worker and gets the connection
 * back by epoll: two changes of thread a request, which cost more than a file from memory does.
 * Here the workers of such connections sleep, and one of them, the leader, waits for all their
 * sockets and answers what comes, several requests a wait. Before anything that may take its time
 * another one is made leader; and should the leader be stuck in something that nobody foresaw, it
 * is deposed within WH_MOD_KEEP_STALL. The pattern is Leader/Followers (Schmidt and others,
 * Pattern-Oriented Software Architecture, volume 2). A connection that is silent for
 * WH_MOD_KEEP_IDLE goes back to the MPM, which treats it as any other: KeepAliveTimeout,
 * server-status, graceful.
 *
 * Threads: a connection and its pool belong to one thread at a time, handed over under the mutex.
 */
#ifndef WH_MOD_KEEP_H
#define WH_MOD_KEEP_H

#include <http_connection.h>

#include "mod_wisehost/mod_wisehost.h"

/* A connection whose next request takes longer than this is the MPM's again. */
#define WH_MOD_KEEP_IDLE apr_time_from_msec(20)
/* A leader that has been at one request for so long is deposed. */
#define WH_MOD_KEEP_STALL apr_time_from_msec(10)
/* Larger answers might wait for the client (httpd blocks from FlushMaxThreshold, 64 KiB, on). */
#define WH_MOD_KEEP_ANSWER 49152

/* Registers a filter of connections. register_hooks only. */
void wh_mod_keep_register(void);

/* Makes what the threads of this child share. Without an asynchronous MPM or with WiseHostParked 0:
 * nothing, and every connection stays with the MPM. Single thread, child_init. */
void wh_mod_keep_child_init(apr_pool_t *pchild, server_rec *s);

/* Hook process_connection, before all others. OK when the connection was served, with what the MPM
 * is to do next in c->cs->state; DECLINED for one that is nobody's here. */
int wh_mod_keep_process(conn_rec *c);

/* This request is answered from memory by size bytes: when they are few its connection may be
 * waited for here. */
void wh_mod_keep_quick(request_rec *r, apr_off_t size);

/* What follows in this thread may take its time. Free of cost where nothing depends on it. */
void wh_mod_keep_slow(void);
/* The same, when these request headers say so: a body, an upgrade. */
void wh_mod_keep_judge(const request_rec *r);
/* Hook access_checker, before all others: the same, where users have to log in. DECLINED. */
int wh_mod_keep_access(request_rec *r);

#endif
