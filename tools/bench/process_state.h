/* What this process takes: CPU time, memory, descriptors, threads that run. For the measuring programs. */
#ifndef TOOLS_BENCH_PROCESS_STATE_H
#define TOOLS_BENCH_PROCESS_STATE_H

/* CPU seconds of all threads together, and of the calling one. */
double process_cpu_seconds(void);
double thread_cpu_seconds(void);

void sleep_milliseconds(long ms);

/* Waits, 2 s at most, until no other thread of this process runs. Returns the CPU seconds that were taken until
 * then. */
double process_come_to_rest(void);

/* A number of KiB from /proc/self/status ("VmRSS", "VmHWM"); 0 if there is none of that name. */
long process_status_kib(const char *name);

/* Open files, sockets and pipes; -1: cannot be told. */
int process_descriptors(void);

#endif
