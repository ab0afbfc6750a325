/* wh_fault: places at which a test lets the process die as by kill -9. Off unless wh_fault_arm was
 * given a path at start (the environment's WISEHOST_FAULT_FILE, which nobody but who starts the
 * process can set): then the process ends at the point whose name stands in that file, and the file
 * goes with it, so that each point is met once. */
#ifndef WH_FAULT_H
#define WH_FAULT_H

/* Once, before any thread; path NULL or "" = never. It is borrowed for ever. */
void wh_fault_arm(const char *path);

/* Here the process may end. Costs a comparison where it is not armed. */
void wh_fault(const char *point);

#endif
