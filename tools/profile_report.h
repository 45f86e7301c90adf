/* What a profiling session measured: tables for people, a trace for Perfetto and Chrome. */
#ifndef TOOLS_PROFILE_REPORT_H
#define TOOLS_PROFILE_REPORT_H

#include "engine/norma.h"

#include <stdio.h>

/* The shortest time of each node over several runs, which other programs disturb least. Zeroed: empty. */
typedef struct profile_shortest {
  uint64_t *ns;
  size_t count;
  double run_seconds; /* of the shortest run, for the caller to fill in; 0: not known */
} profile_shortest;

/* To be called after each run; false without memory. */
bool profile_shortest_note(profile_shortest *shortest, const norma_session *session);
void profile_shortest_free(profile_shortest *shortest);

/* Two tables, by node and by operator and algorithm, longest time first: milliseconds, per cent of the time, GFLOP/s,
 * per cent of the multiply-add peak, which is measured here for the kernels and threads of `runtime`, MB and GB/s.
 * Times are means; with `shortest` they are the shortest, and per cent of the memory's peak and the sum are added.
 * GFLOP count what the operators' definitions ask for, so an algorithm that needs fewer can pass the peak; MB count
 * each operand once, so what a cache holds can pass the memory's. */
void profile_print(FILE *file, const norma_runtime *runtime, const norma_session *session,
                   const profile_shortest *shortest);

/* The last run in the Trace Event Format (JSON object form, complete events). Write errors stay in the stream. */
void profile_write_trace(FILE *file, const norma_session *session, const char *model);

#endif
