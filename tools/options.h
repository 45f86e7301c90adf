/*
 * Options of the command line. What an option is called, says and takes stands in one place, a tool_option; which
 * options a command has, and where in its settings their values go, is said by its list of command_options.
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include "tools/option_values.h"

typedef struct tool_option {
  const char *name;     /* of the long form; NULL: none */
  char letter;          /* 0: none */
  const char *argument; /* its name, NULL if the option takes none */
  const char *text;     /* for --help and the man page */
  const char *expected; /* what the argument has to be, for the error; NULL: anything is taken */
  bool (*take)(void *place, const char *text, option_pool *pool); /* see tools/option_values.h */
} tool_option;

typedef struct command_option {
  const tool_option *option; /* NULL ends a list */
  size_t place;              /* offset in the command's settings */
} command_option;

/* What every command has. The settings of a command begin with it. Strings are borrowed from the arguments of main. */
struct common_settings {
  int threads; /* 0: default */
  int level;   /* -1: not given */
  text_list disabled;
  bool exact;
  norma_denormals denormals;
  size_t max_memory; /* 0: no limit */
  double timeout;    /* seconds; 0: not given */
  bool quiet;
  const char *const *arguments; /* what is left: models, folders */
  size_t argument_count;
};

/* Options of all commands; of --help and --version the place is not used. */
extern const command_option common_options[];

/* Options that several commands have, each with the place that it needs. */
typedef enum shared_option {
  SHARED_JSON,    /* bool */
  SHARED_PROFILE, /* const char * */
  SHARED_RTOL,    /* double, as the next two */
  SHARED_ATOL,
  SHARED_MAX_ERROR,
  SHARED_VERBOSE,     /* bool */
  SHARED_OUTPUT_FILE, /* const char * */
  SHARED_VERIFY,      /* bool */
  SHARED_INPUT,       /* text_list; see INPUT_OPTIONS of tools/inputs.h */
  SHARED_FILL,        /* fill_kind */
  SHARED_SEED,        /* uint64_t */
  SHARED_SHAPE        /* text_list */
} shared_option;

extern const tool_option shared_options[];

struct command;

/* Parses argv[1 .. argc - 1] for a command. Long options are written out: an abbreviation is no option. NULL: the
 * program is to leave with *exit_code, everything has been said. Else the command's settings, for settings_free. */
struct common_settings *settings_parse(const struct command *command, int argc, char **argv, int *exit_code);
void settings_free(struct common_settings *settings); /* NULL is fine */

/* What the library is told. `level` -1 takes that of the settings. */
norma_runtime_options settings_runtime(const struct common_settings *settings);
norma_load_options settings_load(const struct common_settings *settings, norma_runtime *runtime, int level);
norma_session_options settings_session(const struct common_settings *settings);
norma_limits settings_limits(const struct common_settings *settings);

/* Creates the runtime of these settings; NULL after printing why not. */
norma_runtime *settings_create_runtime(const struct common_settings *settings);

#endif
