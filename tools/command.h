/*
 * The contract of a subcommand: one file in tools/ that exports `const command command_NAME`, its options and settings
 * included; the build collects the files. `norma bn NAME` stands in tools/bn/bn_NAME.c.
 */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include "tools/options.h"

typedef struct command {
  const char *name;                 /* as it is typed: "run", "bn list" */
  const char *synopsis;             /* what follows the name, without common options */
  const char *summary;              /* a line */
  const char *text;                 /* paragraphs, ended by \n */
  const command_option *options;    /* its own, in the order of --help, ended by an entry without option; NULL: none */
  int min_arguments, max_arguments; /* max -1: any number */
  const char *argument;             /* what they are: "MODEL" */
  size_t settings_size;             /* of its settings, a struct that begins with common_settings */
  const void *defaults;             /* what these are before the command line is read; NULL: zero */
  /* Prints results on stdout and errors on stderr, and returns the exit code. */
  int (*run)(const void *settings);
} command;

/* All of them, in the order of their files; written by the build. */
extern const command *const command_table[];
extern const size_t command_table_count;

/* NULL if there is none. */
const command *command_find(const char *name);

/* What follows the group's name in the name of a command of it: "list" of "bn list"; NULL: it is none of the group. */
const char *command_in_group(const command *command, const char *group);

#endif
