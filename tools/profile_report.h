/* What a profiling session measured: tables for people, a trace for Perfetto and Chrome. */
#ifndef TOOLS_PROFILE_REPORT_H
#define TOOLS_PROFILE_REPORT_H

#include "engine/norma.h"

#include <stdio.h>

/* Two tables, by node and by operator, longest time first: milliseconds per run, per cent, GFLOP/s, GB/s. */
void profile_print(FILE *file, const norma_session *session);

/* The last run in the Trace Event Format (JSON object form, complete events). Write errors stay in the stream. */
void profile_write_trace(FILE *file, const norma_session *session, const char *model);

#endif
