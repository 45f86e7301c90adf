/*
 * The one source of what the tool accepts and says about itself: the parser of options, `--help` and the man page all
 * read these tables.
 */
#ifndef TOOLS_MANUAL_H
#define TOOLS_MANUAL_H

#include <stddef.h>
#include <stdio.h>

typedef enum option_id {
  OPTION_END = 0,
  OPTION_THREADS = 256, /* above every letter, as getopt_long wants */
  OPTION_LEVEL,
  OPTION_DISABLE,
  OPTION_EXACT,
  OPTION_MAX_MEMORY,
  OPTION_TIMEOUT,
  OPTION_QUIET,
  OPTION_HELP,
  OPTION_VERSION,
  OPTION_INPUT,
  OPTION_FILL,
  OPTION_SEED,
  OPTION_SHAPE,
  OPTION_OUTPUT_FOLDER,
  OPTION_DUMP,
  OPTION_TOP,
  OPTION_PROFILE,
  OPTION_JSON,
  OPTION_DOT,
  OPTION_RTOL,
  OPTION_ATOL,
  OPTION_MAX_ERROR,
  OPTION_MANIFEST,
  OPTION_FILTER,
  OPTION_JOBS,
  OPTION_VERBOSE,
  OPTION_WARMUP,
  OPTION_RUNS,
  OPTION_DURATION,
  OPTION_LEVELS,
  OPTION_OUTPUT_FILE,
  OPTION_VERIFY,
  OPTION_DATA,
  OPTION_METHOD,
  OPTION_MOMENTUM,
  OPTION_EPOCHS,
  OPTION_ORDER,
  OPTION_BATCH,
  OPTION_ONLY,
  OPTION_VARIANCE,
  OPTION_REPORT,
  OPTION_MOMENTS,
  OPTION_FROM,
  OPTION_SKIP_BAD,
  OPTION_MEAN,
  OPTION_STD,
  OPTION_SCALE,
  OPTION_LAYOUT
} option_id;

typedef struct manual_option {
  option_id id;
  char letter;          /* 0: none */
  const char *name;     /* of the long form; NULL: none */
  const char *argument; /* its name, NULL if the option takes none */
  const char *text;
} manual_option;

typedef struct manual_command {
  const char *name;     /* NULL ends the list */
  const char *synopsis; /* what follows the name, without common options */
  const char *summary;  /* a line */
  const char *text;     /* paragraphs, ended by \n */
  option_id options[24];
  int min_arguments, max_arguments; /* max -1: any number */
  const char *argument;             /* "MODEL" */
} manual_command;

extern const manual_command manual_commands[];
extern const option_id manual_common_options[];

const manual_command *manual_find(const char *name); /* NULL if there is none */
const manual_option *manual_option_of(option_id id);

/* The text of `norma --help` and of `norma COMMAND --help`. */
void manual_print_overview(FILE *file);
void manual_print_command(FILE *file, const manual_command *command);
/* The man page norma(1), as troff. */
void manual_print_page(FILE *file);
/* `norma --version`: the versions, and what the build contains. */
void manual_print_version(FILE *file);

#endif
