/* What a profiling session measured: tables for people, a trace for Perfetto and Chrome. */
#ifndef TOOLS_PROFILE_REPORT_H
#define TOOLS_PROFILE_REPORT_H

#include "engine/norma.h"

#include <stdio.h>

/* Two tables, by node and by operator and algorithm, longest time first: milliseconds per run, per cent of the time,
 * GFLOP/s and per cent of the multiply-add peak, which is measured here for the kernels and threads of `runtime`, GB/s.
 * GFLOP count what the operators' definitions ask for, so an algorithm that needs fewer can pass the peak. */
void profile_print(FILE *file, const norma_runtime *runtime, const norma_session *session);

/* The last run in the Trace Event Format (JSON object form, complete events). Write errors stay in the stream. */
void profile_write_trace(FILE *file, const norma_session *session, const char *model);

#endif
