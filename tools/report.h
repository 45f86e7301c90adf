/* What the command-line tool says and how: one line per error on stderr, exit codes, progress on a terminal. */
#ifndef TOOLS_REPORT_H
#define TOOLS_REPORT_H

#include "engine/norma.h"

#include <stdio.h>

/* Exit codes of every subcommand. */
enum {
  EXIT_YES = 0,    /* done; the answer is yes */
  EXIT_NO = 1,     /* done; the answer is no: a test failed, something is unsupported, tensors differ */
  EXIT_REFUSED = 2 /* usage, or input that is refused */
};

/* Prints "norma: ..." as one line on stderr and returns EXIT_REFUSED. Control characters, which may come from a hostile
 * model, are shown as \xNN. */
int tool_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for an error of the library; `file` (may be NULL) goes in front unless the message names it already. Returns
 * EXIT_NO where the model is unsupported. */
int tool_library_error(const char *file, const norma_error *error);

/* "norma: warning: ..." */
void tool_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Copies `text` with control characters as \xNN, cut to `size`; returns `buffer`. */
const char *printable(const char *text, char *buffer, size_t size);

/* Prints `text` in the same form. */
void print_text(FILE *file, const char *text);

/* Seconds of a clock that only goes forward. */
double clock_seconds(void);

/* A line on stderr that is overwritten in place: only on a terminal, only once a second has passed, at most ten times a
 * second. */
typedef struct progress {
  bool enabled;
  bool shown;
  double started, last;
} progress;

void progress_start(progress *line, bool quiet);
void progress_show(progress *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
void progress_clear(progress *line); /* before anything else is printed, and at the end */

/* The same for one call that cannot report: a thread of its own shows "what, 3 s" until the end. Started once a call,
 * ended by ticker_stop before anything is printed. */
typedef struct ticker ticker;
ticker *ticker_start(const char *what, bool quiet); /* NULL: nothing to show, or no thread to be had; both are fine */
void ticker_stop(ticker *ticker);                   /* NULL is fine */

/* "1.5 MiB", "12 KiB", "80 B" into text of at least 32 bytes. */
const char *bytes_text(double bytes, char *text, size_t size);

/* "12,345" into text of at least 32 bytes. */
const char *count_text(uint64_t count, char *text, size_t size);

#endif
