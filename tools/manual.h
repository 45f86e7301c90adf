/* What the tool says about itself, from the tables that its parser reads: `--help` and the man page. */
#ifndef TOOLS_MANUAL_H
#define TOOLS_MANUAL_H

#include "tools/command.h"

#include <stdio.h>

/* The text of `norma --help` and of `norma COMMAND --help`. */
void manual_print_overview(FILE *file);
void manual_print_command(FILE *file, const command *command);
/* The commands of `norma bn`, a line each. */
void manual_print_group(FILE *file, const char *group);
/* The man page norma(1), as troff. */
void manual_print_page(FILE *file);
/* `norma --version`: the versions, and what the build contains. */
void manual_print_version(FILE *file);

#endif
