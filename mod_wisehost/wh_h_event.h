/* Live events as a call asks for them. */
#ifndef WH_H_EVENT_H
#define WH_H_EVENT_H

#include "mod_wisehost/wh_mod_stream.h"

/* "id: <n>", "event: <type>", "data: {…}". */
wh_feed_format_fn wh_h_event_format;

#endif
